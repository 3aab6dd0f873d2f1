/**
 * What an idle daemon takes that shows 100 layers of 50,000 files: at most 100 MiB, holder and server together.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { systemClock } from "../../src/async/index.ts";
import type { DaemonClient } from "../../src/daemon/index.ts";
import { archiveOf, PLATFORM, sha256, tarOf } from "../../src/lazyfs/image.fixture.ts";
import { compileLayerArchive } from "../../src/lazyfs/compile-layer-archive.ts";
import { type Digest, encodeManifest, formatPlatform, MEDIA_TYPES } from "../../src/oci/index.ts";
import { type LayerSource, openStore, type Store } from "../../src/store/index.ts";
import { daemonModule } from "./daemon-module.ts";
import { temporaryDaemonStore } from "../kernel/daemon-setup.ts";
import { missingFuse } from "../kernel/fuse-mounts.ts";

const FILES = 50_000;
const IMAGES = 10;
const LAYERS = 10;
const LIMIT_BYTES = 100 << 20;
/** Longer than it takes until an idle daemon gives back memory. */
const SETTLE_MS = 40_000;

test("an idle daemon with 100 layers of 50,000 files takes at most 100 MiB", async (t) => {
  const reason = missingFuse();
  if (reason !== undefined) return t.skip(reason);
  const store = await temporaryDaemonStore(t);
  const names = await fillStore(store.root);
  const { connectDaemon } = await daemonModule();
  await using client = await connectDaemon({ store: store.root, start: { idleExitMs: 600_000 } });
  for (const reference of names) {
    await client.mount({ reference, resolve: "missing", background: false, prefetch: false });
  }
  assert.equal(
    (await client.mounts()).reduce((sum, { layers }) => sum + layers.length, 0),
    IMAGES * LAYERS,
  );
  await pause(SETTLE_MS);
  t.diagnostic(`after mounting: ${await describe(client)}`);
  const mounted = await residentBytes(client);
  process.kill((await client.info()).pid, "SIGKILL");
  await client.info();
  await pause(SETTLE_MS);
  t.diagnostic(`after another server took over: ${await describe(client)}`);
  const taken = await residentBytes(client);
  assert.ok(Math.max(mounted, taken) <= LIMIT_BYTES);
});

/** Layers whose files have the same names and contents, under digests of their own; nothing of their data is there. */
async function fillStore(root: string): Promise<readonly string[]> {
  const files = Array.from({ length: FILES }, (_, at) => ({
    name: `directory${at % 500}/file-with-a-usual-name-${at}`,
    content: `contents of file ${at}\n`,
  }));
  const archive = await archiveOf(tarOf(files));
  const { meta, rows, dataSize } = compileLayerArchive(archive);
  await using store = await openStore(root, { clock: systemClock, pid: process.pid });
  const names: string[] = [];
  for (let image = 0; image < IMAGES; image += 1) {
    const digests = Array.from({ length: LAYERS }, (_, layer) => digestOf(`${image}/${layer}`));
    for (const digest of digests) {
      const source: LayerSource = {
        mediaType: MEDIA_TYPES.ociLayerGzip,
        blobSize: 100 << 20,
        compression: "gzip",
        tocDigest: archive.tocDigest,
        prefetchSize: 0,
        locations: [{ registry: "127.0.0.1:1", repository: "test/image" }],
        blobVerified: false,
      };
      await (await store.createLayer(digest, { meta, chunks: { rows, dataSize }, source })).close();
    }
    names.push(
      await nameImage(store, {
        name: `127.0.0.1:1/test/image${image}:latest`,
        digests,
        tocDigest: archive.tocDigest,
      }),
    );
  }
  return names;
}

async function nameImage(
  store: Store,
  {
    name,
    digests,
    tocDigest,
  }: { readonly name: string; readonly digests: readonly Digest[]; readonly tocDigest: Digest },
): Promise<string> {
  const config = encodeManifest({ ...PLATFORM, rootfs: { type: "layers", diff_ids: digests } });
  const manifest = encodeManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: { mediaType: MEDIA_TYPES.ociConfig, digest: sha256(config), size: config.length },
    layers: digests.map((digest) => ({
      mediaType: MEDIA_TYPES.ociLayerGzip,
      digest,
      size: 100 << 20,
      annotations: { "containerd.io/snapshot/stargz/toc.digest": tocDigest },
    })),
  });
  for (const bytes of [config, manifest]) await store.content.write(sha256(bytes), bytes);
  store.setImage({
    name,
    platform: formatPlatform(PLATFORM),
    root: sha256(manifest),
    manifest: sha256(manifest),
    layers: digests,
    tocDigests: digests.map(() => tocDigest),
    content: [sha256(config)],
  });
  return name;
}

function digestOf(text: string): Digest {
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

async function residentBytes(client: DaemonClient): Promise<number> {
  const { pid, holderPid } = await client.info();
  return residentOf(pid) + residentOf(holderPid);
}

async function describe(client: DaemonClient): Promise<string> {
  const { pid, holderPid } = await client.info();
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const one = (of: number): string =>
    `${mib(residentOf(of))} (${mib(proportionalOf(of))} with what is shared divided)`;
  return `server ${one(pid)}, holder ${one(holderPid)}`;
}

/** Resident bytes, where each page counts only in part that other processes have, too. */
function proportionalOf(pid: number): number {
  const text = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"))?.[1];
  return Number(text) * 1024;
}

function residentOf(pid: number): number {
  const text = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
  return Number(text) * 1024;
}
