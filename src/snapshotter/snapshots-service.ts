/**
 * The snapshots service of containerd's proxy plugins, over a {@link Snapshotter}.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { EsgzError } from "../errors/index.ts";
import {
  type GrpcRouter,
  type Info,
  InfoSchema,
  Kind,
  type Mount,
  MountSchema,
  type ServiceHandlers,
  Snapshots,
} from "../grpc/index.ts";
import type { SnapshotMount } from "./snapshot-mounts.ts";
import type { Snapshot, SnapshotKind } from "./snapshot.ts";
import type { Snapshotter } from "./snapshotter.ts";

/** Snapshots in one message of a list. */
const LIST_BLOCK = 100;

const KINDS: Readonly<Record<SnapshotKind, Kind>> = {
  active: Kind.ACTIVE,
  view: Kind.VIEW,
  committed: Kind.COMMITTED,
};

/** Registers the service. */
export function routeSnapshots(router: GrpcRouter, snapshotter: Snapshotter): void {
  router.service(Snapshots, createSnapshotsService(snapshotter));
}

/** The methods of the service. Errors are those of the snapshotter; a server translates them. */
function createSnapshotsService(snapshotter: Snapshotter): ServiceHandlers<typeof Snapshots> {
  return {
    prepare: async ({ key, labels, parent }) => {
      const prepared = await snapshotter.prepare(key, { labels, parent });
      if (prepared.kind === "mounts") return { mounts: prepared.mounts.map(mountMessage) };
      // The contract's way to say that there is nothing to unpack.
      throw new EsgzError("ALREADY_EXISTS", `target snapshot "${prepared.target}": already exists`);
    },
    view: async ({ key, labels, parent }) => {
      const mounts = await snapshotter.view(key, { labels, parent });
      return { mounts: mounts.map(mountMessage) };
    },
    mounts: async ({ key }) => ({ mounts: (await snapshotter.mounts(key)).map(mountMessage) }),
    commit: async ({ key, labels, name, parent }) => {
      await snapshotter.commit(key, { name, labels, parent });
      return {};
    },
    remove: async ({ key }) => {
      await snapshotter.remove(key);
      return {};
    },
    stat: ({ key }) => ({ info: infoMessage(snapshotter.stat(key)) }),
    update: ({ info, updateMask }) => {
      if (info === undefined)
        throw new EsgzError("REQUEST_INVALID", "Cannot update snapshot: expected an info, got none");
      const mask = updateMask?.paths ?? [];
      return { info: infoMessage(snapshotter.update(info.name, { labels: info.labels, mask })) };
    },
    list: async function* ({ filters }) {
      const found = snapshotter.list(filters);
      for (let at = 0; at < found.length; at += LIST_BLOCK) {
        yield { info: found.slice(at, at + LIST_BLOCK).map(infoMessage) };
      }
    },
    usage: async ({ key }) => {
      const { inodes, size } = await snapshotter.usage(key);
      return { size: BigInt(size), inodes: BigInt(inodes) };
    },
    cleanup: async () => {
      await snapshotter.cleanup();
      return {};
    },
  };
}

function infoMessage({ createdMs, kind, labels, name, parent, updatedMs }: Snapshot): Info {
  return create(InfoSchema, {
    name,
    parent,
    kind: KINDS[kind],
    createdAt: timestampFromMs(createdMs),
    updatedAt: timestampFromMs(updatedMs),
    labels,
  });
}

function mountMessage({ options, source, type }: SnapshotMount): Mount {
  return create(MountSchema, { type, source, options: [...options] });
}
