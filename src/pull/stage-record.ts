/**
 * The entries of a staged layer, in a file: a worker writes them as they come, and the merge reads them one by one, so that
 * they are never all in memory.
 *
 *     first line   "esgz staged layer 1"
 *     an entry     [path, type, size, mode, uid, gid, seconds, nanoseconds, linkName, devMajor, devMinor,
 *                   tarOffset, storedSize, {attribute: base64}]           tarOffset: -1 of all but files with content
 *     last line    {"entries":N,"sha256":HEX}                             of all bytes before it
 *
 * Each line is JSON. A file without its last line is of a pull that was interrupted.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { decodeBase64, encodeBase64 } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { type LayerEntry, layerEntryFromTar } from "../image/index.ts";
import type { TarEntry } from "../tar/index.ts";

const CREATE: number = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const READ: number = constants.O_RDONLY | constants.O_NOFOLLOW;
const FIRST_LINE = '"esgz staged layer 1"\n';
/** Bytes that are written or read at once. */
const PIECE_SIZE = 64 * 1024;
const NEWLINE = 0x0a;
const NO_XATTRS: ReadonlyMap<string, Uint8Array> = new Map();

type Row = readonly [
  path: string,
  type: LayerEntry["type"],
  size: number,
  mode: number,
  uid: number,
  gid: number,
  seconds: number,
  nanoseconds: number,
  linkName: string,
  devMajor: number,
  devMinor: number,
  tarOffset: number,
  storedSize: number,
  xattrs: Readonly<Record<string, string>>,
];

/** Writes a record. */
export class StageRecordWriter {
  readonly #hash: Hash = createHash("sha256");
  #fd: number | undefined;
  #text = FIRST_LINE;
  #entries = 0;

  /** @param path of a file that is not there */
  constructor(path: string) {
    this.#fd = openSync(path, CREATE, 0o600);
  }

  /** Adds an entry; keeps nothing of the tar's memory. */
  add(entry: TarEntry): void {
    this.#text += `${JSON.stringify(rowOf(layerEntryFromTar(entry)))}\n`;
    this.#entries += 1;
    if (this.#text.length >= PIECE_SIZE) this.#flush();
  }

  /** Ends the record. */
  finish(): void {
    this.#flush();
    const sha256 = this.#hash.copy().digest("hex");
    this.#text = `${JSON.stringify({ entries: this.#entries, sha256 })}\n`;
    this.#flush();
    this.close();
  }

  /** Closes the file, if it is open. */
  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #flush(): void {
    if (this.#fd === undefined) return;
    const bytes = Buffer.from(this.#text);
    this.#text = "";
    this.#hash.update(bytes);
    for (let done = 0; done < bytes.length;) done += writeSync(this.#fd, bytes, done);
  }
}

/** Whether a file is a record that was written to its end, and is as it was written. */
export function isStageRecord(path: string): boolean {
  const hash = createHash("sha256");
  let isFirst = true;
  let last: string | undefined;
  for (const lines of readLines(path)) {
    if (isFirst && !lines.toString().startsWith(FIRST_LINE)) return false;
    isFirst = false;
    if (last !== undefined) hash.update(last);
    const lastStart = lines.lastIndexOf(NEWLINE, lines.length - 2) + 1;
    hash.update(lines.subarray(0, lastStart));
    last = lines.subarray(lastStart).toString();
  }
  return last?.endsWith(`"sha256":"${hash.digest("hex")}"}\n`) === true;
}

/**
 * The entries of a record, in the order of the tar. Sparse files are staged with their holes filled: their runs are left
 * out.
 *
 * @throws {EsgzError} `IO_FAILED` if the record is not whole.
 */
export function* readStageRecord(path: string): Generator<LayerEntry, void, undefined> {
  for (const lines of readLines(path)) {
    for (const line of lines.toString().split("\n")) {
      if (line.startsWith("[")) yield entryOf(parseRow(line, path));
      else if (line.startsWith("{")) return;
    }
  }
  throw broken(path, "its end too early");
}

/** The file in pieces of whole lines; a last line without an end is left out. */
function* readLines(path: string): Generator<Buffer, void, undefined> {
  const fd = openSync(path, READ);
  try {
    let rest = Buffer.alloc(0);
    for (;;) {
      const piece = Buffer.allocUnsafe(PIECE_SIZE);
      const size = readSync(fd, piece);
      if (size === 0) return;
      const bytes = Buffer.concat([rest, piece.subarray(0, size)]);
      const end = bytes.lastIndexOf(NEWLINE) + 1;
      rest = bytes.subarray(end);
      if (end > 0) yield bytes.subarray(0, end);
    }
  } finally {
    closeSync(fd);
  }
}

function rowOf(entry: LayerEntry): Row {
  const { path, type, size, mode, uid, gid, mtime, linkName, devMajor, devMinor, content } = entry;
  const xattrs = Object.fromEntries(Array.from(entry.xattrs, ([name, value]) => [name, encodeBase64(value)]));
  const [tarOffset, storedSize] = content?.kind === "tar" ? [content.tarOffset, content.storedSize] : [-1, 0];
  const { seconds, nanoseconds } = mtime;
  const head = [path, type, size, mode, uid, gid, seconds, nanoseconds] as const;
  return [...head, linkName, devMajor, devMinor, tarOffset, storedSize, xattrs];
}

function entryOf(row: Row): LayerEntry {
  const [path, type, size, mode, uid, gid, seconds, nanoseconds, linkName, devMajor, devMinor] = row;
  const [, , , , , , , , , , , tarOffset, storedSize, encoded] = row;
  const names = Object.keys(encoded);
  const xattrs =
    names.length === 0 ? NO_XATTRS : new Map(names.map((name) => [name, decodeBase64(encoded[name] ?? "")]));
  const mtime = { seconds, nanoseconds };
  const owner = { uid, gid, userName: "", groupName: "" };
  const metadata = { path, type, size, mode, ...owner, mtime, linkName, devMajor, devMinor, xattrs };
  return tarOffset < 0 ? metadata : { ...metadata, content: { kind: "tar", tarOffset, storedSize } };
}

function parseRow(line: string, path: string): Row {
  try {
    const row: unknown = JSON.parse(line);
    // Written by this program, and proven by its digest: the length is enough to tell another version's.
    if (Array.isArray(row) && row.length === 14) return row as unknown as Row;
  } catch {
    // Said below.
  }
  throw broken(path, JSON.stringify(line.slice(0, 100)));
}

function broken(path: string, found: string): EsgzError {
  return new EsgzError(
    "IO_FAILED",
    `Cannot read staged entries "${path}": expected entries and an end, got ${found}`,
  );
}
