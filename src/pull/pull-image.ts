/**
 * Pulling an image: to a directory tree, an OCI layout, or an archive.
 *
 * @module
 */
import { type Clock, systemClock } from "../async/index.ts";
import { type ImageSource, openImage } from "../image/index.ts";
import type { Platform } from "../oci/index.ts";
import { PhaseClock } from "./phase-clock.ts";
import { pullToArchive } from "./pull-archive.ts";
import { pullToLayout } from "./pull-layout.ts";
import { PullProgress } from "./pull-progress.ts";
import type { PullEvent, PullReport } from "./pull-report.ts";
import { pullToRootfs } from "./pull-rootfs.ts";
import type { PullSession, PullTuning, TargetOutcome } from "./pull-session.ts";
import { formatPullTarget, type PullTarget } from "./pull-target.ts";

/** How to pull. */
export interface PullOptions {
  /** Which image of an index. */
  readonly platform: Platform;
  /** Told what happens, at most some ten times a second. Must not throw. */
  readonly onProgress?: ((event: PullEvent) => void) | undefined;
  /** How hard to work; what is missing has the value of {@linkcode DEFAULT_TUNING}. */
  readonly tuning?: Partial<PullTuning> | undefined;
  /**
   * Called once before the transfer of a large image, when its indexes, tens of megabytes, have just become garbage: V8
   * sees no need to collect it while little is allocated. For programs that run with `--expose-gc`.
   */
  readonly collectGarbage?: (() => void) | undefined;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Enough connections that one slow or capped flow does not matter; as many workers as the cores that cheap machines
 * have. Ranges are long enough that the round trips of eight connections overlap, and short because a blob's digest goes
 * in order: what arrives ahead of its turn waits in memory. Ten buffers of 4 MiB: eight being filled, two being written.
 */
export const DEFAULT_TUNING: PullTuning = {
  connections: 8,
  workers: 2,
  bytesInFlight: 40 << 20,
  rangeSize: 4 << 20,
  gapSize: 256 << 10,
};

/**
 * Pulls an image. Every byte is verified before it is written, or before it becomes visible under its name.
 *
 * An interrupted pull, also one that was killed, leaves a state that the next pull of the same image to the same target
 * continues from (not for `docker-archive`). An abort rejects with the signal's reason.
 *
 * @throws {EsgzError} `ALREADY_EXISTS` if the directory holds something else; `DIGEST_MISMATCH`, `SIZE_MISMATCH`,
 * `COMPRESSION_INVALID`, `TAR_INVALID`, `TOC_INVALID`, `PATH_INVALID`, `MANIFEST_INVALID`, `PLATFORM_NOT_FOUND`,
 * `NO_SPACE`, `IO_FAILED`, `NOT_SUPPORTED`; codes of the source's medium.
 */
export async function pullImage(
  source: ImageSource,
  target: PullTarget,
  options: PullOptions,
): Promise<PullReport> {
  const clock = options.clock ?? systemClock;
  const signal = options.signal ?? new AbortController().signal;
  const emit = options.onProgress ?? (() => undefined);
  const phases = new PhaseClock(clock);
  const image = await openImage(source, { platform: options.platform, signal });
  phases.end("resolve");
  const layers = image.layers.map(({ descriptor }) => descriptor);
  emit({ kind: "resolved", digest: image.descriptor.digest, layers: layers.length });
  const session: PullSession = {
    image,
    tuning: { ...DEFAULT_TUNING, ...options.tuning },
    clock,
    phases,
    progress: new PullProgress({ clock, emit, layers }),
    emit,
    collectGarbage: options.collectGarbage ?? (() => undefined),
    signal,
  };
  const outcome = await pullTo(session, target);
  return reportOf(session, { source: source.name, target: formatPullTarget(target), outcome });
}

async function pullTo(session: PullSession, target: PullTarget): Promise<TargetOutcome> {
  switch (target.kind) {
    case "rootfs":
      return await pullToRootfs(session, target.directory);
    case "oci":
      return await pullToLayout(session, target);
    case "docker-archive":
      return await pullToArchive(session, target);
  }
}

function reportOf(
  { image, phases, progress }: PullSession,
  { source, target, outcome }: { source: string; target: string; outcome: TargetOutcome },
): PullReport {
  const total = image.layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  const skipped = outcome.layers.reduce((sum, { skippedBytes }) => sum + skippedBytes, 0);
  return {
    source,
    target,
    digest: image.descriptor.digest,
    platform: image.platform,
    seconds: phases.seconds(),
    bytes: { total, fetched: progress.wireBytes, skipped, reused: outcome.reusedBytes },
    requests: progress.requests,
    hedged: progress.hedged,
    files: outcome.files,
    layers: outcome.layers,
    resumed: outcome.resumed,
    omissions: outcome.omissions,
  };
}
