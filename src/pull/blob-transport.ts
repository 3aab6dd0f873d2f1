/**
 * What the blobs of one pull share on their way: memory, connections, and the comparison of their speeds.
 *
 * @module
 */
import { BufferBudget, FlowMonitor } from "../blob/index.ts";
import type { BlobPartsOptions } from "./blob-parts.ts";
import type { PullSession } from "./pull-session.ts";

/** The shared part of the options of `moveBlobParts`. */
export type BlobTransport = Pick<
  BlobPartsOptions,
  "partSize" | "connections" | "budget" | "monitor" | "observer" | "onHedge"
>;

/** Runs `work` with a transport; slow flows are looked for as long as it runs. */
export async function withBlobTransport<T>(
  { tuning, clock, progress }: PullSession,
  work: (transport: BlobTransport) => Promise<T>,
): Promise<T> {
  const monitor = new FlowMonitor({ clock });
  const watching = new AbortController();
  const watch = monitor.watch(watching.signal);
  try {
    return await work({
      partSize: tuning.rangeSize,
      connections: tuning.connections,
      budget: new BufferBudget({ totalBytes: tuning.bytesInFlight, slotSize: tuning.rangeSize }),
      monitor,
      observer: progress.wire,
      onHedge: () => {
        progress.hedged += 1;
      },
    });
  } finally {
    watching.abort();
    await watch;
  }
}
