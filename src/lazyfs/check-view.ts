/**
 * Finds out whether what a mount shows is still what it was: files may have been changed while nobody looked, and the kernel
 * reads metadata, and the data of complete layers, by itself.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { encodeHex } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { digestMismatch, type Digest } from "../oci/index.ts";
import type { Store } from "../store/index.ts";
import type { HeldLayer, HeldLayers } from "./held-layers.ts";
import { mergeStoredMetas } from "./merge-stored-metas.ts";
import type { MountState, TreePlan } from "./mount-record.ts";

/** What there is to compare with. */
export interface CheckContext {
  readonly store: Store;
  readonly held: HeldLayers;
}

/**
 * Verifies the metadata that a mount shows, and the data that it shows without a server.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH`, `STORE_INVALID` for what was changed
 */
export async function checkView(context: CheckContext, { plan, files, method }: MountState): Promise<void> {
  for (const tree of plan.trees) await checkMeta(tree);
  const served = new Set(method === "tree" ? [] : files);
  // To hold a layer verifies its metadata. One that is served was held for that, if it is sound: where it is not, its readers
  // get errors, and only a mount that shows that metadata has to go.
  for (const { layers, metaDigest } of plan.trees) {
    for (const digest of layers) {
      const isChecked =
        served.has(digest) && (metaDigest !== undefined || context.held.get(digest) !== undefined);
      if (!isChecked) await checkLayer(context, { digest, isShownByKernel: method !== "tree" });
    }
  }
}

/**
 * Makes merged metadata again that is not what it was, from the metadata of the layers.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH`, `STORE_INVALID` if that is damaged, too; `NO_SPACE`, `IO_FAILED`
 */
export async function repairMetas({ held }: CheckContext, trees: readonly TreePlan[]): Promise<void> {
  for (const tree of trees) {
    const { meta, metaDigest, layers } = tree;
    if (metaDigest === undefined || (await digestOfFile(meta)) === metaDigest) continue;
    const holding: HeldLayer[] = [];
    try {
      for (const digest of layers) holding.push(await held.hold(digest));
      const merged = await mergeStoredMetas(holding.map(({ layer }) => layer));
      if (merged.digest !== metaDigest) throw digestMismatch("merged metadata", metaDigest, merged.digest);
      // Never in place: the kernel may have the old file open.
      await writeFile(`${meta}.new`, merged.bytes);
      await rename(`${meta}.new`, meta);
    } finally {
      for (const { layer } of holding) await held.release(layer.digest);
    }
  }
}

async function checkMeta({ meta, metaDigest }: TreePlan): Promise<void> {
  if (metaDigest === undefined) return;
  const found = await digestOfFile(meta);
  if (found !== metaDigest) throw digestMismatch(`metadata "${meta}"`, metaDigest, found ?? "no file");
}

async function checkLayer(
  { held }: CheckContext,
  { digest, isShownByKernel }: { readonly digest: Digest; readonly isShownByKernel: boolean },
): Promise<void> {
  const { layer } = await held.hold(digest);
  try {
    if (!isShownByKernel || layer.complete) return;
    const { dropped } = await layer.reverify();
    if (!layer.complete) throw changedData(layer.dataPath, dropped);
  } finally {
    await held.release(digest);
  }
}

function changedData(path: string, dropped: number): EsgzError {
  const text = `Cannot show "${path}": expected all of its chunks, got ${dropped} that do not match their digests`;
  return new EsgzError("DIGEST_MISMATCH", text);
}

async function digestOfFile(path: string): Promise<Digest | undefined> {
  const hash = createHash("sha256");
  try {
    await pipeline(createReadStream(path), hash);
  } catch {
    return undefined;
  }
  return `sha256:${encodeHex(hash.digest())}`;
}
