/**
 * A worker that calculates, fails and dies as it is told.
 *
 * @module
 */
import { threadId } from "node:worker_threads";
import { EsgzError } from "../errors/index.ts";
import { serveJobs } from "./index.ts";

/** What the worker can do. */
export type ArithmeticJob =
  | { readonly kind: "add"; readonly value: number }
  | { readonly kind: "thread" }
  /** Makes garbage. */
  | { readonly kind: "litter" }
  /** Answers 1 if the garbage is still there, else 0. */
  | { readonly kind: "look" }
  | { readonly kind: "take"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "fail"; readonly how: "esgz" | "full" | "die" };

/** A number, or the bytes of a `take` job plus one. */
export type ArithmeticResult = number | Uint8Array<ArrayBuffer>;

serveJobs(
  (start: number) => {
    let sum = start;
    let litter: WeakRef<object> | undefined;
    return async (job: ArithmeticJob): Promise<ArithmeticResult> => {
      if (job.kind === "add") {
        await Promise.resolve();
        sum += job.value;
        return sum;
      }
      if (job.kind === "thread") return threadId;
      if (job.kind === "litter") {
        litter = new WeakRef({ sum });
        return 0;
      }
      if (job.kind === "look") return litter?.deref() === undefined ? 0 : 1;
      if (job.kind === "take") return job.bytes.map((byte) => byte + 1);
      if (job.how === "esgz") throw new EsgzError("DIGEST_MISMATCH", "Cannot add", { details: { value: 7 } });
      if (job.how === "full") throw Object.assign(new Error("no room"), { code: "ENOSPC" });
      process.exit(3);
    };
  },
  {
    action: "add number",
    collectAfterMs: 20,
    transferOf: (result: ArithmeticResult) => (typeof result === "number" ? [] : [result.buffer]),
  },
);
