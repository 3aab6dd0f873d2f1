import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../async/index.ts";
import { MemoryBlob } from "../blob/index.ts";
import { openRawToc, readRawToc } from "../estargz/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { ANNOTATIONS, type Digest } from "../oci/index.ts";
import { sha256 } from "./image.fixture.ts";
import { type LayerMaterial, makeLayer } from "./make-layer.ts";
import { mergeStoredMetas } from "./merge-stored-metas.ts";
import { makePracticeLayer } from "./practice-layer.ts";
import { PreparationThreads } from "./preparation-threads.ts";

const WRONG = `sha256:${"0".repeat(64)}` as const;
const MANY_FILES = 1000;
const FEW_FILES = 20;

async function materialOf(
  files: number,
  options: { readonly tocDigest?: Digest } = {},
): Promise<LayerMaterial> {
  const blob = await makePracticeLayer({ files });
  const raw = await readRawToc(new MemoryBlob(blob));
  using found = await openRawToc(raw);
  return {
    descriptor: {
      mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
      digest: sha256(blob),
      size: blob.length,
      annotations: { [ANNOTATIONS.tocDigest]: options.tocDigest ?? found.tocDigest },
    },
    raw,
  };
}

test("PreparationThreads make what this thread makes, several layers at once", async () => {
  await using threads = new PreparationThreads({ threads: 2 });
  const materials = await Promise.all([
    materialOf(MANY_FILES),
    materialOf(FEW_FILES),
    materialOf(MANY_FILES / 2),
  ]);
  threads.warm();
  const made = await Promise.all(materials.map((material) => threads.makeLayer(material)));
  for (const [at, material] of materials.entries()) {
    assert.deepEqual(made[at], await makeLayer(material));
    assert.ok(material.raw.bytes.length > 0, "what was given is still there");
  }
});

test("PreparationThreads say why a layer is declined as this thread does", async () => {
  await using threads = new PreparationThreads({ threads: 1 });
  for (const files of [MANY_FILES, FEW_FILES]) {
    const found = await threads.makeLayer(await materialOf(files, { tocDigest: WRONG }));
    assert.ok(found.kind === "declined" && found.mismatch);
    assert.ok(isEsgzError(found.cause, "DIGEST_MISMATCH"));
    assert.match(found.reason, /expected digest sha256:0{64}/);
    threads.warm();
  }
});

test("PreparationThreads merge what this thread merges, whether a thread runs or may not", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "esgz-threads-"));
  t.after(() => rm(root, { recursive: true }));
  const parts = await Promise.all(
    [300, 40].map(async (files) => {
      const made = await makeLayer(await materialOf(files));
      assert.ok(made.kind === "made");
      const metaPath = join(root, String(files));
      await writeFile(metaPath, made.meta);
      return { metaPath, metaDigest: sha256(made.meta), dataSize: made.dataSize };
    }),
  );
  const here = await mergeStoredMetas(parts);
  for (const keep of [1, 0]) {
    await using threads = new PreparationThreads({
      threads: 1,
      idle: { clock: systemClock, keep: () => keep },
    });
    const { bytes, digest } = await threads.merge(parts);
    assert.deepEqual({ bytes: Buffer.from(bytes), digest }, { ...here, bytes: Buffer.from(here.bytes) });
    await assert.rejects(threads.merge(parts.map((part) => ({ ...part, metaDigest: WRONG }))), {
      code: "DIGEST_MISMATCH",
    });
  }
});

test("PreparationThreads practise, unless somebody comes, and do nothing once they are disposed of", async () => {
  await using threads = new PreparationThreads({ threads: 1 });
  await threads.practise({ signal: AbortSignal.abort() });
  assert.equal(threads.isPractised, false);
  await threads.practise({ signal: new AbortController().signal });
  assert.equal(threads.isPractised, true);
  const material = await materialOf(FEW_FILES);
  assert.deepEqual(await threads.makeLayer(material), await makeLayer(material));
  assert.equal(threads.isPractised, false);
  const practising = threads.practise({ signal: new AbortController().signal });
  assert.deepEqual(await threads.makeLayer(material), await makeLayer(material));
  await practising;
  assert.equal(threads.isPractised, false);
  await threads[Symbol.asyncDispose]();
  await assert.rejects(threads.makeLayer(await materialOf(MANY_FILES)), { code: "ABORTED" });
});
