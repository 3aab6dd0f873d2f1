/**
 * What commands and the daemon say to each other: HTTP/1.1 with JSON bodies over the unix socket `control.sock` of a store.
 *
 * ```text
 * GET    /v1/info                          DaemonInfo
 * POST   /v1/pull      PullRequest         events, PullResult
 * POST   /v1/announcements AnnounceRequest {}   a mount follows: answered when it has come, or will not be waited for any longer
 * POST   /v1/mounts    MountRequest        events, MountResult
 * GET    /v1/mounts                        MountStatus[]
 * DELETE /v1/mounts?target=DIR|ID[&lazy=1][&owner=PID] {}
 * GET    /v1/images                        ImageSummary[]
 * DELETE /v1/images?name=REF[&platform=P]  {}
 * GET    /v1/usage                         UsageSummary
 * POST   /v1/prune     PruneRequest        PruneSummary
 * POST   /v1/stop      {}                  {}   ends holder and server; mounts that are in use keep it from ending unless {force}
 * POST   /v1/renew     {}                  {}   has another server take over; mounts stay
 * POST   /v1/layer-stores {directory}     {}   mounts an additional layer store for Podman and CRI-O
 * GET    /v1/layer-stores                 string[], directories
 * DELETE /v1/layer-stores?directory=DIR   {}
 * GET    /metrics                          Prometheus text
 * ```
 *
 * Requests with events answer `application/x-ndjson`: lines {@link ControlLine}, the last one a result or an error.
 * Errors of the others have status 4xx or 5xx and a body {@link ControlFailure}. A client that goes away aborts its request.
 *
 * @module
 */
import type { ErrorCode, ErrorDetails } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";

/** How to reach the registry of a request; paths are absolute, read by the daemon, and remembered for later reads. */
export interface RegistryAccess {
  readonly authfile?: string;
  /** Hosts. */
  readonly plainHttp?: readonly string[];
  /** Hosts: for those of this machine, with which plain HTTP is usual. */
  readonly tls?: readonly string[];
  readonly tlsVerify?: boolean;
  readonly certDir?: string;
  /** `HOST=URL` */
  readonly mirror?: readonly string[];
}

/** Which image. */
export interface ImageRequest {
  /** As users write it; a name with a tag and a digest pins the digest. */
  readonly reference: string;
  /** `os/arch[/variant]`; the daemon's own if absent. */
  readonly platform?: string;
  readonly registry?: RegistryAccess;
  /** `missing`: use what the store has under this name without asking the registry. Default: `always`, and what is in the store if no registry answers. */
  readonly resolve?: "always" | "missing";
}

/** A process will ask for a mount of this image, as its owner, within seconds. It takes that back by leaving. */
export interface AnnounceRequest extends ImageRequest {
  readonly ownerPid: number;
}

/** Fill the store with an image. */
export interface PullRequest extends ImageRequest {
  /** Only indexes, no contents. */
  readonly lazy?: boolean;
  /** With `lazy`: also what is read first when the image is started. */
  readonly prefetch?: boolean;
}

/** Mount an image. */
export interface MountRequest extends ImageRequest {
  /**
   * Names the mount: 16 hexadecimal digits that no other has. Who asks again with the same one, such as after a server that
   * ended before it answered, gets the mount that stands. Default: of the daemon's choice.
   */
  readonly id?: string;
  /** An absolute path of a directory that exists; absent: a directory of the store. */
  readonly directory?: string;
  readonly writable?: boolean;
  /** An overlay of one mount per layer instead of one merged image. */
  readonly layered?: boolean;
  readonly view?: "auto" | "erofs-file" | "erofs-loop" | "tree";
  /** Fetch what the image's landmarks name first; default true. */
  readonly prefetch?: boolean;
  /** Fetch the rest while the link is idle; default from the configuration. */
  readonly background?: boolean;
  /** What was written to it goes with it. Default: it is kept in `kept/<id>` of the store until it is pruned. */
  readonly discard?: boolean;
  /** Goes away by itself when this process ends. */
  readonly ownerPid?: number;
  /** What will be started in it, as far as it differs from what the image says: what that reads first is brought first. */
  readonly start?: StartRequest;
}

/** What a user says of the process that will be started. */
export interface StartRequest {
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly workdir?: string;
}

/** What happened with a layer. */
export interface LayerSummary {
  readonly digest: Digest;
  readonly size: number;
  readonly lazy: boolean;
  /** Why it is not lazy. */
  readonly reason?: string;
  readonly present?: boolean;
}

/** An event of a long request. */
export type ControlEvent =
  | {
      readonly kind: "resolved";
      readonly name: string;
      readonly manifest: Digest;
      readonly layers: number;
      readonly ms: number;
    }
  /** Told again when more is known of the layer; of one that travels whole, the first time without its size. */
  | { readonly kind: "layer"; readonly index: number; readonly layer: LayerSummary }
  | { readonly kind: "indexed"; readonly ms: number; readonly bytes: number }
  | {
      readonly kind: "progress";
      /** Bytes of the blobs: here, and in all. */
      readonly doneBytes: number;
      readonly totalBytes: number;
      readonly layers: readonly { readonly doneBytes: number; readonly totalBytes: number }[];
    }
  | { readonly kind: "note"; readonly text: string };

/** A line of an event stream. */
export type ControlLine<Result> =
  { readonly event: ControlEvent } | { readonly result: Result } | { readonly error: ControlFailure };

/** An error as data. */
export interface ControlFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: ErrorDetails;
}

/** What a pull came to. */
export interface PullResult {
  readonly name: string;
  readonly manifest: Digest;
  readonly layers: readonly LayerSummary[];
  /** What came from registries meanwhile, for this and whatever else the daemon did. */
  readonly fetchedBytes: number;
  readonly copiedBytes: number;
  /** Requests to registries meanwhile. */
  readonly requests: number;
  readonly seconds: { readonly index: number; readonly total: number };
}

/** A mount that stands. */
export interface MountResult {
  readonly id: string;
  readonly directory: string;
  readonly name: string;
  readonly manifest: Digest;
  /** `local` needs neither FUSE nor the daemon. */
  readonly method: "local" | "erofs-file" | "erofs-loop" | "tree";
  readonly layers: readonly LayerSummary[];
  /** The image's config, as its JSON. */
  readonly config: unknown;
  /** Of a rootless mount with `writable` that has to be made inside a user namespace: the parts for it. */
  readonly overlay?: { readonly lower: string; readonly upper: string; readonly work: string };
  readonly seconds: number;
}

/** A live mount, for `top`. */
export interface MountStatus {
  readonly id: string;
  readonly directory: string;
  readonly name: string;
  readonly method: MountResult["method"];
  readonly writable: boolean;
  readonly createdMs: number;
  readonly totalBytes: number;
  readonly presentBytes: number;
  readonly fetchedBytes: number;
  readonly reads: number;
  readonly hits: number;
  readonly waiting: readonly { readonly path: string; readonly forMs: number }[];
  readonly layers: readonly (LayerSummary & { readonly presentBytes: number })[];
}

/** An image of the store. */
export interface ImageSummary {
  readonly name: string;
  readonly platform: string;
  readonly manifest: Digest;
  readonly layers: number;
  /** Bytes that are there, and in all. */
  readonly presentBytes: number;
  readonly totalBytes: number;
  readonly updatedMs: number;
  readonly mounted: boolean;
}

/** What a store takes on the disk, in bytes. */
export interface UsageSummary {
  readonly root: string;
  readonly quotaBytes?: number;
  readonly layers: readonly {
    readonly digest: Digest;
    readonly diskBytes: number;
    readonly totalBytes: number;
    readonly usedMs: number;
    readonly pinned: boolean;
    readonly images: readonly string[];
  }[];
  readonly contentBytes: number;
  readonly writableBytes: number;
}

/** What to take away, beside layers that no image has and what was changed in mounts that are gone. */
export interface PruneRequest {
  /** Also images that nothing mounts. */
  readonly all?: boolean;
}

/** What was taken away. */
export interface PruneSummary {
  readonly images: readonly string[];
  readonly layers: readonly Digest[];
  readonly bytes: number;
}

/** The daemon of a store. */
export interface DaemonInfo {
  readonly version: string;
  readonly pid: number;
  readonly holderPid: number;
  readonly store: string;
  readonly startedMs: number;
  readonly restarts: number;
  readonly view: {
    /** Absent where no way works. */
    readonly method?: "erofs-file" | "erofs-loop" | "tree";
    readonly reasons: readonly string[];
    readonly passthrough: boolean;
  };
  readonly mounts: number;
  /** Absent where it serves no snapshots. */
  readonly snapshots?: {
    readonly address: string;
    /** The last layers that clients had to unpack, the newest last. */
    readonly declined: readonly DeclinedSnapshot[];
  };
}

/** A layer that was asked for and could not be shown without unpacking it. */
export interface DeclinedSnapshot {
  readonly reference?: string | undefined;
  readonly digest?: Digest | undefined;
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}
