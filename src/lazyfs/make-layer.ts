/**
 * From a table of contents as it lies in a blob to what the store keeps of the layer: all that takes the processor, and nothing
 * that waits. It can be done by any thread.
 *
 * @module
 */
import type { OverlayNamespace } from "../erofs/index.ts";
import { isEsgzError, messageOf } from "../errors/index.ts";
import type { Archive, RawToc } from "../estargz/index.ts";
import { proveLayerArchive } from "../image/index.ts";
import type { Descriptor, Digest } from "../oci/index.ts";
import { encodeChunks, type TableSummary } from "../store/index.ts";
import { type CompiledLayer, compileLayerArchive } from "./compile-layer-archive.ts";
import type { DeclinedLayer } from "./declined-layer.ts";

/** What a layer is made of. Plain data. */
export interface LayerMaterial {
  /** As the manifest has it: its annotations prove the table of contents. */
  readonly descriptor: Descriptor;
  readonly raw: RawToc;
  /** See `openLazyLayer()`. */
  readonly verification?: "required" | "computed" | undefined;
  /** Where overlayfs will look for marks; `trusted` by default. */
  readonly overlayMarks?: OverlayNamespace | undefined;
}

/** A layer that was made, and is nowhere yet. Plain data. */
export interface MadeLayer {
  readonly kind: "made";
  /** The EROFS image of its metadata. */
  readonly meta: Uint8Array;
  /** Its chunk table, encoded. */
  readonly table: Uint8Array;
  /** What checking that table would find. */
  readonly summary: TableSummary;
  /** The size of its data device in bytes. */
  readonly dataSize: number;
  readonly tocDigest: Digest;
  readonly compression: Archive["compression"];
  readonly landmark: Archive["landmark"];
  /** Bytes at the start of the blob to prefetch. */
  readonly prefetchSize: number;
}

/**
 * Proves the table of contents, compiles it to metadata, and encodes its chunks.
 *
 * @throws {EsgzError} `STORE_INVALID` for chunks that no table can hold
 */
export async function makeLayer(material: LayerMaterial): Promise<MadeLayer | DeclinedLayer> {
  const proven = await proveLayerArchive(material, material);
  if (proven.kind === "opaque") return { ...proven, kind: "declined" };
  const { archive } = proven;
  const compiled = compileOrDecline(archive, material);
  if ("kind" in compiled) return compiled;
  const { meta, rows, dataSize } = compiled;
  const { tocDigest, compression, landmark, prefetchSize } = archive;
  const { table, summary } = encodeChunks({ rows, dataSize });
  return { kind: "made", meta, table, summary, dataSize, tocDigest, compression, landmark, prefetchSize };
}

function compileOrDecline(
  archive: Archive,
  { overlayMarks }: Pick<LayerMaterial, "overlayMarks">,
): CompiledLayer | DeclinedLayer {
  try {
    return compileLayerArchive(archive, { overlayMarks });
  } catch (error) {
    if (!isEsgzError(error)) throw error;
    const reason = `its table of contents cannot be laid out (${messageOf(error)})`;
    return { kind: "declined", reason, mismatch: false, cause: error };
  }
}
