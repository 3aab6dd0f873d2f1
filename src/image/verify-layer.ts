/**
 * Proving everything that a layer claims, in one pass over its blob.
 *
 * @module
 */
import { Channel } from "../async/index.ts";
import { type ReadOptions, wholeRange } from "../blob/index.ts";
import { EsgzError, isEsgzError, messageOf } from "../errors/index.ts";
import type { Archive, UnverifiedArchive } from "../estargz/index.ts";
import { algorithmOf } from "../oci/index.ts";
import { ChunkCheck } from "./chunk-check.ts";
import { decompressStream } from "./decompress.ts";
import { findLayerToc, type FindTocOptions, proveToc, tocProofOf } from "./find-layer-toc.ts";
import { HashedStream } from "./hashed-stream.ts";
import type { Layer } from "./image.ts";
import { type LayerReport, LayerReportBuilder } from "./layer-report.ts";
import { PlainTarCheck } from "./plain-tar-check.ts";
import { TarCheck } from "./tar-check.ts";

/** Pieces between the blob and the decompressor. */
const PIECES_BETWEEN = 4;

/** What one verification works with. */
interface Verification {
  readonly layer: Layer;
  readonly report: LayerReportBuilder;
  readonly chunks: ChunkCheck | undefined;
  readonly files: TarCheck | PlainTarCheck;
  readonly options: ReadOptions;
}

/**
 * Verifies a layer: blob size and digest, diff id; of a seekable one also the table of contents against the
 * manifest, each chunk where the table says it lies, and the table against the tar, file by file. All checks are made,
 * whatever fails; the report says what and where. Memory is bounded by the largest member and by the table.
 *
 * @throws {EsgzError} codes of the medium only: the layer could not be read.
 */
export async function verifyLayer(layer: Layer, options: FindTocOptions = {}): Promise<LayerReport> {
  const report = new LayerReportBuilder();
  const found = await findToc(layer, { report, options });
  const { archive } = found;
  const chunks = archive && new ChunkCheck(archive, report);
  const files =
    archive === undefined
      ? new PlainTarCheck(report, layer.descriptor.digest)
      : new TarCheck(archive, report);
  for (const name of ["chunks", "toc-equals-tar"] as const) {
    if (archive !== undefined) report.begin(name);
    else report.skip(name, found.reason);
  }
  await readWhole({ layer, report, chunks, files, options });
  return report.finish({
    digest: layer.descriptor.digest,
    format: found.format,
    chunkCount: chunks?.count ?? 0,
    entryCount: files.count,
  });
}

interface FoundArchive {
  readonly format: LayerReport["format"];
  readonly archive?: Archive | undefined;
  /** Why there is no archive. */
  readonly reason: string;
}

async function findToc(
  layer: Layer,
  { report, options }: { readonly report: LayerReportBuilder; readonly options: FindTocOptions },
): Promise<FoundArchive> {
  let unverified: UnverifiedArchive;
  try {
    unverified = await findLayerToc(layer, options);
  } catch (error) {
    return withoutToc(error, { layer, report });
  }
  checkTocDigest(unverified, { layer, report });
  const format = unverified.footer.kind === "external" ? "estargz" : unverified.footer.kind;
  try {
    report.begin("toc");
    return { format, archive: unverified.verify(unverified.tocDigest), reason: "" };
  } catch (error) {
    if (!(error instanceof EsgzError)) throw error;
    report.find("toc", layer.descriptor.digest, messageOf(error));
    return { format, reason: "the table of contents cannot be used" };
  }
}

/** An ordinary layer has nothing to check here, unless its manifest says that it is more. */
function withoutToc(
  error: unknown,
  { layer, report }: { readonly layer: Layer; readonly report: LayerReportBuilder },
): FoundArchive {
  if (!(error instanceof EsgzError)) throw error;
  const { digest, annotations } = layer.descriptor;
  const ordinary = error.code === "FOOTER_INVALID" || error.code === "TOC_MISSING";
  const broken = ordinary || error.code === "TOC_INVALID" || error.code === "LIMIT_EXCEEDED";
  if (!broken && error.code !== "COMPRESSION_INVALID" && error.code !== "TAR_INVALID") throw error;
  const promised = tocProofOf(annotations).kind !== "none";
  if (!promised && error.code === "FOOTER_INVALID") {
    report.skip("toc-digest", "the layer has no table of contents");
    report.skip("toc", "the layer has no table of contents");
    return { format: "ordinary", reason: "the layer has no table of contents" };
  }
  report.find("toc", digest, messageOf(error));
  report.skip("toc-digest", "no table of contents was found");
  return { format: "ordinary", reason: "no table of contents was found" };
}

function checkTocDigest(
  unverified: UnverifiedArchive,
  { layer, report }: { readonly layer: Layer; readonly report: LayerReportBuilder },
): void {
  const { annotations, digest } = layer.descriptor;
  const proof = tocProofOf(annotations);
  if (proof.kind === "none") {
    report.skip("toc-digest", "the manifest has no digest of the table of contents");
    return;
  }
  report.begin("toc-digest");
  if (proof.kind === "unusable") {
    report.find("toc-digest", digest, `expected a digest in the annotation, got "${proof.text}"`);
    return;
  }
  try {
    proveToc(unverified, proof);
  } catch (error) {
    if (!(error instanceof EsgzError)) throw error;
    if (error.code === "DIGEST_MISMATCH") report.find("toc-digest", digest, messageOf(error));
  }
}

async function readWhole(verification: Verification): Promise<void> {
  const { layer, report } = verification;
  report.begin("blob-size");
  report.begin("blob-digest");
  if (layer.diffId === undefined) report.skip("diff-id", "the config has no diff id for it");
  else report.begin("diff-id");
  const pieces = new Channel<Uint8Array>(PIECES_BETWEEN);
  const both = await Promise.allSettled([readBlob(verification, pieces), readTar(verification, pieces)]);
  for (const each of both) if (each.status === "rejected") throw each.reason;
}

/** Reads the blob to its end, whatever becomes of the tar in it. */
async function readBlob(verification: Verification, pieces: Channel<Uint8Array>): Promise<void> {
  const { layer, report, chunks, options } = verification;
  const { digest, size } = layer.descriptor;
  const stored = new HashedStream(algorithmOf(digest));
  let wanted = true;
  try {
    for await (const piece of layer.blob.stream(wholeRange(layer.blob), options)) {
      stored.update(piece);
      chunks?.push(piece);
      if (!wanted) continue;
      wanted = await pieces.send(piece).then(
        () => true,
        () => false,
      );
    }
  } catch (error) {
    // Some media check digest and size themselves; what they say is said below.
    if (!isEsgzError(error, "DIGEST_MISMATCH") && !isEsgzError(error, "SIZE_MISMATCH")) {
      pieces.fail(error);
      throw error;
    }
  }
  pieces.end();
  chunks?.finish();
  if (stored.size !== size) report.find("blob-size", digest, `expected ${size} bytes, got ${stored.size}`);
  if (stored.digest !== digest) {
    report.find("blob-digest", digest, `expected digest ${digest}, got ${stored.digest}`);
  }
}

async function readTar(verification: Verification, pieces: Channel<Uint8Array>): Promise<void> {
  const { layer, report, files, options } = verification;
  const { blob, diffId, descriptor } = layer;
  const tar = new HashedStream(diffId === undefined ? "sha256" : algorithmOf(diffId));
  const reread = (): AsyncIterable<Uint8Array> => blob.stream(wholeRange(blob), options);
  try {
    for await (const piece of decompressStream(pieces, { reread })) {
      tar.update(piece);
      files.push(piece);
    }
  } catch (error) {
    if (!isEsgzError(error, "COMPRESSION_INVALID")) throw error;
    report.find("diff-id", descriptor.digest, `${messageOf(error)}, after ${tar.size} bytes of tar`);
    files.finish();
    return;
  }
  files.finish();
  if (diffId !== undefined && tar.digest !== diffId) {
    report.find("diff-id", descriptor.digest, `expected diff id ${diffId}, got ${tar.digest}`);
  }
}
