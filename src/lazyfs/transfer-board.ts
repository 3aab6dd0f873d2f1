/**
 * Looks after the transfers under way: which are slow, which stand still.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import { type Flow, FlowMonitor } from "../blob/index.ts";
import type { FetchPriority } from "./fetch-report.ts";
import { LinkRate } from "./link-rate.ts";

/** A transfer as the board sees it. */
export interface WatchedTransfer {
  readonly priority: FetchPriority;
  /** Whether a read waits for it. */
  readonly isUrgent: boolean;
  /** Called when it should get a second connection. */
  hedge(): void;
  /** Called now and then. */
  checkStall(nowMs: number): void;
}

const INTERVAL_MS = 250;
/** Fewer bytes come in one piece, and tell nothing of a rate. */
const LEAST_RUN = 128 << 10;

/** Watches as long as there is something to watch, and has no timer otherwise. */
export class TransferBoard {
  /** What all transfers bring together. */
  readonly link: LinkRate;
  readonly #clock: Clock;
  readonly #transfers = new Set<WatchedTransfer>();
  /** Short and long transfers have different rates: each is compared with its like. */
  readonly #monitors: { readonly short: FlowMonitor; readonly long: FlowMonitor };
  /** Bytes per millisecond of the whole background, as a moving average. */
  #backgroundRate: number | undefined;
  /** The shortest wait for a first byte. */
  #roundTripMs = Infinity;
  /** Bytes per millisecond of one connection once it runs, as a moving average that follows upwards faster. */
  #connectionRate: number | undefined;
  #watch: AbortController | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.link = new LinkRate(clock);
    this.#monitors = { short: new FlowMonitor({ clock }), long: new FlowMonitor({ clock }) };
  }

  /** Transfers under way. */
  get size(): number {
    return this.#transfers.size;
  }

  /** Transfers of the background under way. */
  get backgroundTransfers(): number {
    return [...this.#transfers].filter(({ priority }) => priority === "background").length;
  }

  /**
   * The bytes that the background may have under way, so that they arrive within some time beside two round trips;
   * undefined before it has brought anything.
   */
  backgroundAllowance(ms: number): number | undefined {
    if (this.#backgroundRate === undefined) return undefined;
    const roundTripMs = this.#roundTripMs === Infinity ? 0 : this.#roundTripMs;
    return this.#backgroundRate * (ms + 2 * roundTripMs);
  }

  /** Watches a transfer until the flow is ended. The background is not compared: it stands still on purpose. */
  begin(transfer: WatchedTransfer): Flow {
    this.#transfers.add(transfer);
    this.#startWatch();
    const end = (): void => {
      this.#transfers.delete(transfer);
      if (this.#transfers.size > 0) return;
      this.#watch?.abort();
      this.#watch = undefined;
    };
    if (transfer.priority === "background") return { received: 0, end };
    const monitor = transfer.priority === "pull" ? this.#monitors.long : this.#monitors.short;
    const flow = monitor.begin(() => transfer.hedge());
    const endFlow = flow.end.bind(flow);
    flow.end = () => {
      endFlow();
      end();
    };
    return flow;
  }

  /** Notes how fast one of the background's transfers was that never stood aside. To be told before it ends. */
  noteBackground(bytes: number, ms: number): void {
    const rate = (bytes * Math.max(1, this.backgroundTransfers)) / Math.max(1, ms);
    this.#backgroundRate = this.#backgroundRate === undefined ? rate : (this.#backgroundRate + rate) / 2;
  }

  /** Notes how long a first byte took. */
  noteFirstByte(ms: number): void {
    this.#roundTripMs = Math.min(this.#roundTripMs, ms);
  }

  /** Notes how fast bytes came behind the first ones of a transfer that was not held up here. */
  noteRun(bytes: number, ms: number): void {
    if (bytes < LEAST_RUN) return;
    const rate = bytes / Math.max(1, ms);
    const known = this.#connectionRate ?? rate;
    this.#connectionRate = rate > known ? (known + rate) / 2 : (7 * known + rate) / 8;
  }

  /** The bytes that travel in the time of one round trip: taking them along costs as much as asking again. */
  get roundTripBytes(): number | undefined {
    if (this.#connectionRate === undefined || this.#roundTripMs === Infinity) return undefined;
    return this.#connectionRate * this.#roundTripMs;
  }

  /** On a full link another connection brings nothing sooner, and the same bytes twice. */
  #look(): void {
    const { isFull } = this.link;
    if (!isFull) for (const monitor of Object.values(this.#monitors)) monitor.judge();
    for (const transfer of this.#transfers) {
      if (!isFull || transfer.isUrgent) transfer.checkStall(this.#clock.nowMs());
    }
  }

  #startWatch(): void {
    if (this.#watch !== undefined) return;
    const watch = new AbortController();
    this.#watch = watch;
    const look = async (): Promise<void> => {
      while (!watch.signal.aborted) {
        await this.#clock.sleep(INTERVAL_MS, { signal: watch.signal });
        this.#look();
      }
    };
    // Ends with the last transfer.
    look().catch(() => undefined);
  }
}
