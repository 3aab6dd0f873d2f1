/**
 * Layers that lie unpacked in directories: the simplest host there can be.
 */
import { bindMount, isMounted, unmount } from "../../src/erofs-mount/index.ts";
import { isEsgzError } from "../../src/errors/index.ts";
import type { Digest } from "../../src/oci/index.ts";
import type {
  RemoteLayers,
  RemoteMountOptions,
  RemotePreparation,
  RemoteRequest,
  SnapshotUsage,
} from "../../src/snapshotter/index.ts";

/** Mounts are binds; layers without a directory are declined. */
export class DirectoryLayers implements RemoteLayers {
  readonly directories: Map<Digest, string> = new Map();
  /** What was asked for, in order. */
  readonly requests: RemoteRequest[] = [];
  /** What layers are shown by now, and what each mount wanted that to be. */
  tocDigest: Digest | undefined;
  readonly wanted: (Digest | "any" | undefined)[] = [];
  /** Awaited by each `prepare`. */
  beforeReady: Promise<void> = Promise.resolve();
  /** Awaited by each `mount`. */
  beforeMount: Promise<void> = Promise.resolve();
  /** No layer can be had at all. */
  isDown = false;

  async prepare(request: RemoteRequest): Promise<RemotePreparation> {
    this.requests.push(request);
    await this.beforeReady;
    if (this.isDown) throw new Error("the registry is down");
    if (!this.directories.has(request.digest))
      return { kind: "declined", reason: "it is not an eStargz layer" };
    return { kind: "ready", tocDigest: this.tocDigest };
  }

  async mount(digest: Digest, { directory, tocDigest }: RemoteMountOptions): Promise<void> {
    this.wanted.push(tocDigest);
    await this.beforeMount;
    const source = this.directories.get(digest);
    if (source === undefined || this.isDown) throw new Error("the layer is not there");
    if (!(await isMounted(directory))) await bindMount({ source, directory, readOnly: true });
  }

  async unmount(directory: string): Promise<void> {
    try {
      await unmount(directory, { lazy: true });
    } catch (error) {
      if (!isEsgzError(error, "MOUNT_FAILED") || error.details["errno"] !== "EINVAL") throw error;
    }
  }

  async usage(): Promise<SnapshotUsage> {
    return await Promise.resolve({ size: 4096, inodes: 3 });
  }
}
