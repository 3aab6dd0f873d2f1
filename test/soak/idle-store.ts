/**
 * A store with 100 layers of 50,000 files in 10 images, for what an idle daemon takes of the memory.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { systemClock } from "../../src/async/index.ts";
import { archiveOf, PLATFORM, sha256 } from "../../src/lazyfs/image.fixture.ts";
import { compileLayerArchive } from "../../src/lazyfs/compile-layer-archive.ts";
import { type Digest, encodeManifest, formatPlatform, MEDIA_TYPES } from "../../src/oci/index.ts";
import { type LayerSource, openStore, type Store } from "../../src/store/index.ts";
import { tarOf } from "../../src/tar/make-tar.fixture.ts";

const FILES = 50_000;
const IMAGES = 10;
const LAYERS = 10;

/** Layers of all its images. */
export const IDLE_STORE_LAYERS: number = IMAGES * LAYERS;

/**
 * Fills a store: layers whose files have the same names and contents, under digests of their own; nothing of their data is there.
 *
 * @param root of a store that no daemon serves
 * @returns the names of its images
 */
export async function fillIdleStore(root: string): Promise<readonly string[]> {
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
