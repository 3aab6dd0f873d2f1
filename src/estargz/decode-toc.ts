/**
 * The table of contents: JSON that lists every file of the layer and where its content lies.
 *
 *     { "version": 1, "entries": [
 *       { "name": "bin/", "type": "dir", "modtime": "2023-11-14T22:13:20Z", "mode": 493, ... },
 *       { "name": "bin/tool", "type": "reg", "size": 150001, "offset": 192, "chunkSize": 65536,
 *         "chunkDigest": "sha256:...", "digest": "sha256:...", ... },
 *       { "name": "bin/tool", "type": "chunk", "offset": 9120, "chunkOffset": 65536, "chunkDigest": ..., ... },
 *       ...
 *     ] }
 *
 * An entry of type `chunk` continues the entry before it. This file reads and checks each entry by itself;
 * `resolve-toc.ts` checks what they say together.
 *
 * Source: eStargz specification, "TOC"; containers-storage for `endOffset` and `chunkType`.
 *
 * @module
 */
import { isEsgzError } from "../errors/index.ts";
import { cleanPath, type TarEntryType } from "../tar/index.ts";
import { ChunkListBuilder, type ChunkListOptions, type LocatedChunk } from "./chunk-list.ts";
import { limitExceeded, type EstargzLimits } from "./limits.ts";
import { parsePlainToc } from "./plain-toc.ts";
import type { TocEntry } from "./toc-entry.ts";
import {
  invalidToc,
  MAX_UINT32,
  ModtimeReader,
  nameOf,
  NO_XATTRS,
  quote,
  readDigest,
  readNumber,
  readText,
  readXattrs,
  type RawEntry,
} from "./toc-fields.ts";
import { parseTocEntries } from "./toc-json.ts";

/** An entry whose chunks have no end in the blob yet: that needs all of them. */
export interface DecodedEntry extends TocEntry {
  readonly chunks: readonly LocatedChunk[];
}

/** What the decoder must know beside the JSON. */
export interface DecodeTocOptions {
  readonly limits: EstargzLimits;
  /** Where the payload ends in the blob: chunks lie in front of it. */
  readonly payloadSize: number;
}

const TYPES: ReadonlyMap<unknown, TarEntryType> = new Map(
  (["reg", "dir", "symlink", "hardlink", "char", "block", "fifo"] as const).map((type) => [type, type]),
);
const NO_CHUNKS: readonly LocatedChunk[] = [];

/**
 * Decodes a TOC: its entries in order, duplicates and landmarks included.
 *
 * @throws {EsgzError} `TOC_INVALID`, `LIMIT_EXCEEDED`
 */
export function decodeToc(json: Uint8Array, options: DecodeTocOptions): DecodedEntry[] {
  return decodePlainToc(json, options) ?? decodeAnyToc(json, options);
}

/** Undefined for a TOC with anything unusual or wrong: what that is, tells the careful reader. */
function decodePlainToc(json: Uint8Array, options: DecodeTocOptions): DecodedEntry[] | undefined {
  const { limits } = options;
  if (json.length > limits.maxTocBytes) return undefined;
  const decoder = new EntryDecoder(options);
  try {
    for (const part of parsePlainToc(json, limits)) {
      if (part === undefined) return undefined;
      for (const value of part) decoder.add(value);
    }
    return decoder.finish();
  } catch (error) {
    if (error instanceof SyntaxError || isEsgzError(error)) return undefined;
    throw error;
  }
}

function decodeAnyToc(json: Uint8Array, options: DecodeTocOptions): DecodedEntry[] {
  const decoder = new EntryDecoder(options);
  for (const part of parseTocEntries(json, options.limits)) for (const value of part) decoder.add(value);
  return decoder.finish();
}

/** Joins entries with the `chunk` entries behind them. */
class EntryDecoder {
  readonly #context: DecodeContext;
  readonly #entries: DecodedEntry[] = [];
  #count = 0;
  #raw: RawEntry | undefined;
  #continuations: RawEntry[] = [];

  constructor(options: DecodeTocOptions) {
    this.#context = { ...options, users: new Map(), groups: new Map(), modtimes: new ModtimeReader() };
  }

  add(value: unknown): void {
    const next = asEntry(value, this.#count);
    this.#count += 1;
    if (this.#raw !== undefined && next.type === "chunk") {
      this.#continuations.push(next);
      return;
    }
    this.#decode();
    this.#raw = next;
  }

  finish(): DecodedEntry[] {
    this.#decode();
    return this.#entries;
  }

  #decode(): void {
    if (this.#raw === undefined) return;
    this.#entries.push(decodeEntry(this.#raw, this.#continuations, this.#context));
    if (this.#continuations.length > 0) this.#continuations = [];
  }
}

function asEntry(value: unknown, index: number): RawEntry {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw invalidToc(undefined, `entry ${index} to be an object`, quote(value));
}

interface DecodeContext extends DecodeTocOptions {
  /** The last name seen of each id. */
  readonly users: Map<number, string>;
  readonly groups: Map<number, string>;
  readonly modtimes: ModtimeReader;
}

/** Most fields are absent from most entries: looking first, here, is faster than having it found out by the reader. */
function decodeEntry(
  raw: RawEntry,
  continuations: readonly RawEntry[],
  context: DecodeContext,
): DecodedEntry {
  const { limits } = context;
  const type = typeOf(raw);
  const name = readText(raw, "name");
  if (type !== "reg" && continuations.length > 0) {
    throw invalidToc(name, "chunk entries behind a reg entry", `behind a ${type} entry`);
  }
  const size = type === "reg" ? readNumber(raw, "size") : 0;
  const digest = type === "reg" ? readDigest(raw, "digest") : undefined;
  const uid = raw.uid === undefined ? 0 : readNumber(raw, "uid", MAX_UINT32);
  const gid = raw.gid === undefined ? 0 : readNumber(raw, "gid", MAX_UINT32);
  return {
    path: pathOf(raw, name, limits),
    name,
    type,
    size,
    mode: readNumber(raw, "mode") & 0o7777,
    uid,
    gid,
    userName: backFilled(context.users, uid, raw.userName === undefined ? "" : readText(raw, "userName")),
    groupName: backFilled(context.groups, gid, raw.groupName === undefined ? "" : readText(raw, "groupName")),
    mtime: context.modtimes.read(raw),
    linkName: linkNameOf(raw, type, limits),
    devMajor: raw.devMajor === undefined ? 0 : readNumber(raw, "devMajor", MAX_UINT32),
    devMinor: raw.devMinor === undefined ? 0 : readNumber(raw, "devMinor", MAX_UINT32),
    xattrs: raw.xattrs === undefined ? NO_XATTRS : readXattrs(raw),
    digest,
    chunks:
      size === 0 && continuations.length === 0
        ? NO_CHUNKS
        : decodeChunks(raw, continuations, { name, size, digest, limits, payloadSize: context.payloadSize }),
  };
}

function typeOf(raw: RawEntry): TarEntryType {
  const type = TYPES.get(raw.type);
  if (type !== undefined) return type;
  const expected = raw.type === "chunk" ? "a reg entry in front of a chunk entry" : "a known type";
  throw invalidToc(nameOf(raw), expected, quote(raw.type));
}

function linkNameOf(raw: RawEntry, type: TarEntryType, limits: EstargzLimits): string {
  if (type !== "hardlink" && type !== "symlink") return "";
  const text = readText(raw, "linkName");
  if (text === "") throw invalidToc(nameOf(raw), `a target of the ${type}`, "none");
  if (type === "hardlink") return pathOf(raw, text, limits);
  if (text.length > limits.maxPathBytes || Buffer.byteLength(text) > limits.maxPathBytes) {
    throw limitExceeded(`TOC entry ${quote(nameOf(raw))}: symlink bytes`, limits.maxPathBytes, text.length);
  }
  return text;
}

/** The cleaned path of a name, inside its limits. */
function pathOf(raw: RawEntry, name: string, limits: EstargzLimits): string {
  const path = cleanPath(name);
  // A path of n UTF-16 units has at most 3n bytes; most paths need no closer look.
  if (path.length * 3 > limits.maxNameBytes || path.length > limits.maxDepth) checkPath(raw, path, limits);
  return path;
}

function checkPath(raw: RawEntry, path: string, limits: EstargzLimits): void {
  const bytes = Buffer.byteLength(path);
  const what = `TOC entry ${quote(nameOf(raw))}`;
  if (bytes > limits.maxPathBytes) throw limitExceeded(`${what}: path bytes`, limits.maxPathBytes, bytes);
  const parts = path.split("/");
  if (parts.length > limits.maxDepth) throw limitExceeded(`${what}: depth`, limits.maxDepth, parts.length);
  for (const part of parts) {
    const length = Buffer.byteLength(part);
    if (length > limits.maxNameBytes) {
      throw limitExceeded(`${what}: bytes of a name`, limits.maxNameBytes, length);
    }
  }
}

function decodeChunks(
  raw: RawEntry,
  continuations: readonly RawEntry[],
  file: ChunkListOptions,
): readonly LocatedChunk[] {
  if (file.size === 0)
    throw invalidToc(file.name, "no chunks of an empty file", String(continuations.length));
  const builder = new ChunkListBuilder(file);
  builder.add(raw);
  for (const continuation of continuations) builder.add(continuation);
  return builder.finish(readNumber(raw, "endOffset"));
}

/** Writers give a user's or group's name once; later entries with the same id mean it too. */
function backFilled(names: Map<number, string>, id: number, name: string): string {
  if (name === "") return names.get(id) ?? "";
  names.set(id, name);
  return name;
}
