/**
 * Which of several transfers has fallen so far behind that asking once more is worth it.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";

/** One transfer under observation. */
export interface Flow {
  /** Bytes that arrived. */
  received: number;
  /** Takes it off the list; its rate counts as that of a peer from then on. */
  end(): void;
}

interface Entry extends Flow {
  readonly startMs: number;
  readonly onSlow: () => void;
  flagged: boolean;
}

interface EndedFlow {
  /** Bytes per millisecond. */
  readonly rate: number;
  readonly endMs: number;
}

/** When a transfer counts as slow. */
export interface SlownessRule {
  /** How often to look, in milliseconds. */
  readonly intervalMs: number;
  /** No transfer younger than this is judged, in milliseconds. */
  readonly graceMs: number;
  /** Slow = slower than the peers' median divided by this. */
  readonly factor: number;
}

/**
 * A connection at a quarter of its peers' pace for three seconds has lost its way rather than its turn: on a full link with a
 * deep queue a turn can take more than a second.
 */
export const DEFAULT_SLOWNESS: SlownessRule = { intervalMs: 250, graceMs: 3000, factor: 4 };

/** Ended transfers that are remembered as peers. */
const MEMORY = 16;

/** Compares transfers with each other. */
export class FlowMonitor {
  readonly #clock: Clock;
  readonly #rule: SlownessRule;
  readonly #entries = new Set<Entry>();
  readonly #ended: EndedFlow[] = [];

  constructor(options: { readonly clock: Clock; readonly rule?: SlownessRule }) {
    this.#clock = options.clock;
    this.#rule = options.rule ?? DEFAULT_SLOWNESS;
  }

  /** Observes a transfer; `onSlow` is called at most once. */
  begin(onSlow: () => void): Flow {
    const startMs = this.#clock.nowMs();
    const entry: Entry = {
      startMs,
      onSlow,
      received: 0,
      flagged: false,
      end: () => {
        if (!this.#entries.delete(entry)) return;
        this.#ended.push({ rate: this.#rateOf(entry), endMs: this.#clock.nowMs() });
        if (this.#ended.length > MEMORY) this.#ended.shift();
      },
    };
    this.#entries.add(entry);
    return entry;
  }

  /** Looks again and again, until the signal. */
  async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(this.#rule.intervalMs, { signal }).catch(() => undefined);
      if (!signal.aborted) this.judge();
    }
  }

  /** Looks once, and tells those that are slow. */
  judge(): void {
    const nowMs = this.#clock.nowMs();
    for (const entry of this.#entries) {
      if (entry.flagged || nowMs - entry.startMs < this.#rule.graceMs) continue;
      const median = medianOf(this.#peerRatesOf(entry));
      if (median === undefined || this.#rateOf(entry) * this.#rule.factor >= median) continue;
      entry.flagged = true;
      entry.onSlow();
    }
  }

  /**
   * Rates of those that share the link with a transfer, or did: a full link gives each its part, however fast one alone
   * was before. A transfer that is alone is compared with all that went before it.
   */
  #peerRatesOf(entry: Entry): number[] {
    const now = [...this.#entries].filter((other) => other !== entry).map((other) => this.#rateOf(other));
    const beside = this.#ended.filter(({ endMs }) => endMs > entry.startMs);
    const ended = now.length + beside.length === 0 ? this.#ended : beside;
    return [...now, ...ended.map(({ rate }) => rate)];
  }

  /** Bytes per millisecond. */
  #rateOf(entry: Entry): number {
    return entry.received / Math.max(1, this.#clock.nowMs() - entry.startMs);
  }
}

function medianOf(values: number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
