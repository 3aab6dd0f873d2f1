/**
 * Reading one file of a large remote image costs its index and its chunks, and nothing else.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { wholeRange } from "../../src/blob/index.ts";
import { openArchive } from "../../src/estargz/index.ts";
import {
  FileBlob,
  openImage,
  openImageDestination,
  openImageFiles,
  openImageSource,
  readImageFile,
  resolveImagePath,
} from "../../src/image/index.ts";
import { encodeManifest, MEDIA_TYPES } from "../../src/oci/index.ts";
import { RegistryClient, type RequestRecord } from "../../src/registry/index.ts";
import { startRegistryServer } from "../../src/registry-server/index.ts";

const VECTORS = join(import.meta.dirname, "../vectors");
const PLATFORM = { os: "linux", architecture: "amd64" };
/** Of everything.chunk64k.blob, as the tool that wrote it said. */
const TOC_DIGEST = "sha256:01ee0b57da0c1608c58cb4235f351e42dee4fa05a9e79e00aeb51992da87af91";
const DIFF_ID = "sha256:afbc84db04e24eba9f5e654f661079bb9e08825606287eb165084be3953748c9";

test("a file of a remote image is read with one request for the index and one for each of its chunks", async () => {
  await using server = await startRegistryServer({});
  const path = join(VECTORS, "everything.chunk64k.blob");
  const size = readFileSync(path).length;
  const name = `${server.host}:${server.port}/test/everything:x`;
  await using blob = new FileBlob(path, { size, fileOffset: 0 });
  await push(name, blob);

  const records: RequestRecord[] = [];
  await using registry = new RegistryClient({ onRequest: (record) => records.push(record) });
  await using source = await openImageSource(name, { registry });
  const image = await openImage(source, { platform: PLATFORM });
  records.length = 0;
  const files = await openImageFiles(image);
  assert.equal(records.length, 1);
  records.length = 0;
  const hash = createHash("sha256");
  for await (const bytes of readImageFile(files, resolveImagePath(files, "/data/random").node))
    hash.update(bytes);
  const expected = JSON.parse(readFileSync(join(VECTORS, "everything.expected.json"), "utf8")) as Record<
    string,
    { sha256?: string }
  >;
  assert.equal(hash.digest("hex"), expected["data/random"]?.sha256);
  const archive = (await openArchive(blob)).verify(TOC_DIGEST);
  const members = (archive.get("data/random")?.chunks ?? []).map(
    ({ blobOffset, blobEnd }) => blobEnd - blobOffset,
  );
  assert.equal(members.length, 4);
  assert.deepEqual(
    records.map(({ bytesReceived }) => bytesReceived),
    members,
  );
});

async function push(name: string, layer: FileBlob): Promise<void> {
  await using registry = new RegistryClient();
  await using destination = await openImageDestination(name, { registry });
  const blob = await destination.writeBlob(layer.stream(wholeRange(layer)));
  const config = await destination.writeBlob(
    encodeManifest({ ...PLATFORM, rootfs: { type: "layers", diff_ids: [DIFF_ID] } }),
  );
  const annotations = { "containerd.io/snapshot/stargz/toc.digest": TOC_DIGEST };
  const bytes = encodeManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: { mediaType: MEDIA_TYPES.ociConfig, ...config },
    layers: [{ mediaType: MEDIA_TYPES.ociLayerGzip, ...blob, annotations }],
  });
  await destination.publish(await destination.writeManifest({ bytes, mediaType: MEDIA_TYPES.ociManifest }));
}
