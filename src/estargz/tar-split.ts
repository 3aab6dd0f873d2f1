/**
 * Writes tar-split data: all of a tar but the content of its files, from which containers-storage rebuilds the tar and its
 * diff id. One JSON object a line:
 *
 *     {"type":2,"payload":BASE64,"position":N}                       raw bytes: what pads the file before, and a header
 *     {"type":1,"name":NAME,"size":N,"payload":BASE64,"position":N}  a file's content; of an empty one the payload is null
 *
 * Every header is a segment of its own, with all blocks that belong to it, and is followed by a line for its file; the end
 * of the archive is the last segment. The payload of a file is the CRC-64 of its content, 8 bytes.
 *
 * Source: vbatts/tar-split tar/storage; containers-storage pkg/chunked/compression_linux.go, which compares headers and
 * TOC, name by name.
 *
 * @module
 */
import { concatBytes, encodeUtf8, hasEscapedBytes } from "../bytes/index.ts";
import { cleanPath, type TarMetadata } from "../tar/index.ts";
import { Crc64 } from "./crc64.ts";
import { isRfc3339Time } from "./rfc3339.ts";

const FILE_LINE = 1;
const SEGMENT_LINE = 2;
/** Lines are given out in pieces of about so many characters, cut by length alone. */
const PIECE_LENGTH = 1024 * 1024;
/** Tar writers disagree about how these are escaped in the names of extended attributes. */
const AMBIGUOUS_XATTR = /[%=]/;

interface OpenFile {
  readonly name: string;
  readonly size: number;
  readonly crc: Crc64;
}

/** Records one tar. */
export class TarSplitRecorder {
  readonly #paths = new Set<string>();
  readonly #pieces: Uint8Array[] = [];
  #text = "";
  #position = 0;
  #gap: Uint8Array[] = [];
  #file: OpenFile | undefined;
  #isExact = true;

  /**
   * Whether the data and a TOC can agree on every entry. They cannot where a name occurs twice, since a TOC has each name
   * once, and where JSON or headers cannot hold what the entry says.
   */
  get isExact(): boolean {
    return this.#isExact;
  }

  /** Begins an entry, whose header blocks are `header`; its content follows. */
  addEntry(entry: TarMetadata, header: Uint8Array): void {
    this.#endFile();
    this.#gap.push(header);
    this.#endSegment();
    this.#file = { name: entry.name, size: entry.size, crc: new Crc64() };
    const path = cleanPath(entry.name);
    if (this.#paths.has(path) || !isExactlyHeld(entry)) this.#isExact = false;
    this.#paths.add(path);
  }

  /** Takes content of the entry. */
  addContent(bytes: Uint8Array): void {
    this.#file?.crc.update(bytes);
  }

  /** Takes bytes that are neither header nor content. */
  addGap(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#gap.push(bytes);
  }

  /** Takes the pieces of the data that are complete. */
  takePieces(): Uint8Array[] {
    return this.#pieces.splice(0);
  }

  /** Ends the tar, and the last piece. */
  finish(): void {
    this.#endFile();
    if (this.#gap.length > 0) this.#endSegment();
    this.#endPiece();
  }

  #endPiece(): void {
    this.#pieces.push(encodeUtf8(this.#text));
    this.#text = "";
  }

  #endFile(): void {
    if (this.#file === undefined) return;
    const { name, size, crc } = this.#file;
    const sizes = size === 0 ? { payload: null } : { size, payload: base64Of(crc.digest()) };
    this.#addLine({ type: FILE_LINE, name, ...sizes });
    this.#file = undefined;
  }

  #endSegment(): void {
    this.#addLine({ type: SEGMENT_LINE, payload: base64Of(concatBytes(this.#gap)) });
    this.#gap = [];
  }

  #addLine(line: Readonly<Record<string, unknown>>): void {
    this.#text += `${JSON.stringify({ ...line, position: this.#position })}\n`;
    this.#position += 1;
    if (this.#text.length >= PIECE_LENGTH) this.#endPiece();
  }
}

/** By Buffer, which is far faster, and headers are many. */
function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}

function isExactlyHeld({ name, linkName, mtime, xattrs }: TarMetadata): boolean {
  if (hasEscapedBytes(name) || hasEscapedBytes(linkName) || !isRfc3339Time(mtime)) return false;
  for (const key of xattrs.keys()) if (hasEscapedBytes(key) || AMBIGUOUS_XATTR.test(key)) return false;
  return true;
}
