/**
 * A member on its way, and who waits for it.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { FetchPriority } from "./fetch-report.ts";
import type { MemberRun } from "./member-run.ts";

/** How a flight ended: on the disk, in memory only, or given back because somebody more urgent fetches it. */
export type FlightOutcome = "stored" | "memory" | "released";

/** What brings a flight, as far as those who wait for it care. */
export interface FlightCarrier {
  readonly priority: FetchPriority;
  readonly isUrgent: boolean;
  /** Makes it urgent, and ends a pause before its next try. */
  raise(): void;
  /** Milliseconds until the flight's bytes are there; undefined if unknown. */
  etaMs(flight: Flight): number | undefined;
  /** Gives the flight back; false if it is to be kept. */
  cut(flight: Flight): boolean;
}

/** A member that is being fetched. There is at most one for each. */
export class Flight {
  readonly run: MemberRun;
  /** How it ends. Rejections are handled also where nobody waits. */
  readonly settled: Promise<FlightOutcome>;
  /** Reads that wait for it now. */
  demandWaiters = 0;
  /** What brings it now. */
  carrier: FlightCarrier | undefined;
  /** Whether it is fetched again because what came first was wrong. */
  secondTry = false;
  /** Of a flight that ended in memory: its verified chunks. */
  chunks: ReadonlyMap<number, Uint8Array> = new Map();
  #done = Promise.withResolvers<FlightOutcome>();
  #isSettled = false;

  constructor(run: MemberRun) {
    this.run = run;
    this.settled = this.#done.promise;
    this.settled.catch(() => undefined);
  }

  /** Whether it has ended. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Ends it. */
  settle(outcome: FlightOutcome): void {
    this.#isSettled = true;
    this.#done.resolve(outcome);
  }

  /** Ends it with a failure. */
  fail(error: unknown): void {
    this.#isSettled = true;
    this.#done.reject(error);
  }
}

/** The reason of work that is stopped because its layer is given up. */
export function layerReleased(digest: string): EsgzError {
  return new EsgzError("ABORTED", `Cannot fetch "${digest}": the layer was released`);
}
