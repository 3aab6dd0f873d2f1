/**
 * Opens the files of a layer and decides what to believe of them.
 *
 * @module
 */
import { type BigIntStats, constants, existsSync, fstatSync } from "node:fs";
import { OpenedFile } from "../files/index.ts";
import type { Digest } from "../oci/index.ts";
import { BitSet } from "./bit-set.ts";
import { CheckedMeta } from "./checked-meta.ts";
import { ChunkTable } from "./chunk-table.ts";
import type { ChunkTableLimits } from "./chunk-table-limits.ts";
import type { CreatedFiles } from "./create-layer.ts";
import { readBoundedFile, statFile } from "./read-bounded-file.ts";
import {
  decodeFilled,
  equalFingerprints,
  filledFileSize,
  type FilledRecord,
  fingerprintOf,
} from "./filled-file.ts";
import { FilledJournal } from "./filled-journal.ts";
import { LayerBits } from "./layer-bits.ts";
import type { LayerIdentity, SourceRecord } from "./layer-source.ts";
import { type DataRun, dataRunsOf, punchHole } from "./native-calls.ts";
import type { PageCache } from "./page-cache.ts";
import { readSource } from "./read-source.ts";
import { storeInvalid } from "./store-error.ts";
import type { LayerDoubt, StoreObserver } from "./store-event.ts";
import { type LayerPaths, layerPaths } from "./store-layout.ts";

/** What a layer shares with its store. */
export interface LayerContext {
  readonly limits: ChunkTableLimits;
  readonly cache: PageCache;
  readonly nextTemporary: () => string;
  readonly onEvent: StoreObserver;
  /** Makes room for bytes to be written, until they are, or throws `NO_SPACE`. */
  readonly admit: (bytes: number) => Promise<Disposable>;
  /** The same for a layer in the making. */
  readonly admitStaged: (bytes: number) => Promise<Disposable>;
  /**
   * The same for a layer's metadata and chunk table, whose other small files are added: they may take what is reserved, and pass
   * the quota where all else is in use.
   */
  readonly admitRecords: (bytes: number) => Promise<Disposable>;
  /** Whether a lease holds a layer. */
  readonly isPinned: (digest: Digest) => boolean;
  /** What a layer was when it was leased, as far as it is known. */
  readonly pinnedAs: (digest: Digest) => readonly LayerIdentity[];
  /** Whether layers that were closed cleanly and not touched since are believed. */
  readonly believeClean: boolean;
  /** How many bytes of chunks may wait for a checkpoint before one begins by itself. */
  readonly checkpointBytes: number;
}

/** How to open a layer. */
export interface OpenFilesOptions {
  readonly digest: Digest;
  readonly context: LayerContext;
  /** For a layer that was made a moment ago, and has no chunks yet; its files stay the caller's where this fails. */
  readonly created?: CreatedFiles & { readonly durable: boolean };
}

/** The open files of a layer. Whoever gets them closes `table` and `data`. */
export interface LayerFiles {
  readonly paths: LayerPaths;
  readonly table: ChunkTable;
  readonly data: OpenedFile;
  readonly bits: LayerBits;
  readonly journal: FilledJournal;
  readonly meta: CheckedMeta;
  readonly record: SourceRecord;
  /** Chunks that the file `filled` says are there, where that is not believed. */
  readonly recorded?: BitSet;
}

/**
 * Opens the files of a layer.
 *
 * @throws {EsgzError} `STORE_INVALID` if a file is missing or damaged that cannot be made good here: `meta`, `chunks`, or a `source`
 * that is there. Damage to `data` and `filled` costs chunks, not the layer.
 */
export async function openLayerFiles(directory: string, options: OpenFilesOptions): Promise<LayerFiles> {
  const paths = layerPaths(directory);
  const table = openTable(paths, options);
  try {
    const record = options.created?.record ?? (await readSource(paths, options.context.limits));
    const data = options.created?.data ?? (await openData(paths));
    try {
      return await believeFiles({ paths, table, data, record, bits: new LayerBits(table) }, options);
    } catch (error) {
      if (options.created === undefined) await data.close();
      throw error;
    }
  } catch (error) {
    table[Symbol.dispose]();
    throw error;
  }
}

async function believeFiles(opened: Opened, options: OpenFilesOptions): Promise<LayerFiles> {
  const { onDisk, meta, recorded } = await believe(opened, options);
  const journal = new FilledJournal({
    ...opened,
    meta,
    state: onDisk,
    unsynced: options.created?.durable === false,
    nextTemporary: options.context.nextTemporary,
  });
  return { ...opened, journal, meta, ...(recorded === undefined ? {} : { recorded }) };
}

type Opened = Omit<LayerFiles, "journal" | "meta" | "recorded">;

interface Belief {
  readonly onDisk: "open" | "clean" | "unknown";
  readonly meta: CheckedMeta;
  readonly recorded?: BitSet;
}

async function believe(opened: Opened, options: OpenFilesOptions): Promise<Belief> {
  const [path, digest] = [opened.paths.meta, opened.record.metaDigest];
  if (options.created !== undefined) {
    opened.bits.trustGaps();
    return { onDisk: "open", meta: CheckedMeta.ofNew(path, digest) };
  }
  const filled = await readFilled(opened);
  const dataStats = await opened.data.stat();
  if (options.context.believeClean && filled?.clean !== undefined && isUntouched(filled, dataStats)) {
    const meta = await CheckedMeta.open(path, { digest, believed: filled.clean.meta });
    adoptFilled(opened, filled);
    return { onDisk: "clean", meta };
  }
  const meta = await CheckedMeta.open(path, { digest });
  const reason = doubtOf(filled, opened.paths);
  options.context.onEvent({ kind: "layer-untrusted", layer: options.digest, reason });
  const recorded = await claimStored(opened, { filled, size: Number(dataStats.size) });
  // Where there is no file, somebody may have taken it away a moment ago, and a power loss may bring it back.
  const isOpen = filled !== undefined && reason === "unclean";
  return { onDisk: isOpen ? "open" : "unknown", meta, recorded };
}

/** What the file says; undefined if there is none, or it is damaged. */
async function readFilled({ paths, table: { count } }: Opened): Promise<FilledRecord | undefined> {
  const limit = filledFileSize(count);
  const bytes = await readBoundedFile(paths.filled, { limit }).catch(() => undefined);
  return bytes === undefined ? undefined : decodeFilled(bytes, count);
}

/** Why what a file says is not believed, of one that is there or not. */
function doubtOf(filled: FilledRecord | undefined, { filled: path }: LayerPaths): LayerDoubt {
  if (filled !== undefined) return filled.clean === undefined ? "unclean" : "touched";
  return existsSync(path) ? "damaged" : "unclean";
}

function isUntouched(filled: FilledRecord, dataStats: BigIntStats): boolean {
  return filled.clean !== undefined && equalFingerprints(filled.clean.data, fingerprintOf(dataStats));
}

function adoptFilled({ bits, table }: Opened, filled: FilledRecord): void {
  const found = new BitSet(table.count);
  found.addBytes(filled.bitmap);
  if (found.count === table.count) {
    bits.fillAll();
    return;
  }
  bits.trustGaps();
  for (let at = found.next(0); at !== undefined; at = found.next(at + 1)) bits.fill(at);
}

/** After an unclean end: whatever lies in the file may be a chunk. Returns what the record says is there. */
async function claimStored(
  { bits, table, data }: Opened,
  state: { readonly filled: FilledRecord | undefined; readonly size: number },
): Promise<BitSet> {
  if (state.size !== table.dataSize) await data.truncate(table.dataSize);
  const recorded = new BitSet(table.count);
  if (state.filled !== undefined) recorded.addBytes(state.filled.bitmap);
  const runs = dataRunsOf(data.fd, table.dataSize);
  for (const run of runs ?? []) {
    const { first, end } = table.overlapping(run.offset, run.end - run.offset);
    bits.claimed.addRange(first, end);
  }
  // A chunk of zeros may be a hole.
  if (state.filled === undefined && runs === undefined) bits.claimed.addRange(0, table.count);
  for (let at = recorded.next(0); at !== undefined; at = recorded.next(at + 1)) bits.claimed.add(at);
  await clearGaps(data, table, runs ?? [{ offset: 0, end: table.dataSize }]);
  bits.trustGaps();
  return recorded;
}

/** Makes the blocks that no chunk touches holes, or zeros, again. */
async function clearGaps(data: OpenedFile, table: ChunkTable, runs: readonly DataRun[]): Promise<void> {
  let next = 0;
  for (const gap of table.gaps) {
    while ((runs[next]?.end ?? Infinity) <= gap.offset) next += 1;
    for (let at = next; (runs[at]?.offset ?? Infinity) < gap.end; at += 1) {
      const run = runs[at];
      if (run === undefined) break;
      const offset = Math.max(run.offset, gap.offset);
      await clearRange(data, { offset, size: Math.min(run.end, gap.end) - offset });
    }
  }
}

async function clearRange(
  data: OpenedFile,
  range: { readonly offset: number; readonly size: number },
): Promise<void> {
  if (punchHole(data.fd, range)) return;
  const buffer = new Uint8Array(Math.min(range.size, 1 << 20));
  for (let done = 0; done < range.size;) {
    const size = Math.min(buffer.length, range.size - done);
    const count = await data.read(buffer.subarray(0, size), range.offset + done);
    if (count === 0) return;
    if (buffer.subarray(0, count).some((byte) => byte !== 0)) {
      await data.write([buffer.fill(0).subarray(0, count)], range.offset + done);
    }
    done += count;
  }
}

function openTable(paths: LayerPaths, { created, context }: OpenFilesOptions): ChunkTable {
  if (created !== undefined) return ChunkTable.openWritten(paths.chunks, created.chunks, context);
  if (statFile(paths.chunks) === undefined)
    throw storeInvalid(`"${paths.chunks}"`, { expected: "a regular file", found: "none" });
  return ChunkTable.open(paths.chunks, context);
}

/** Opens the data file, or makes an empty one where it is missing. Symbolic links are not followed. */
async function openData(paths: LayerPaths): Promise<OpenedFile> {
  const file = OpenedFile.open(paths.data, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW);
  if (fstatSync(file.fd).isFile()) return file;
  await file.close();
  throw storeInvalid(`"${paths.data}"`, { expected: "a regular file", found: "something else" });
}
