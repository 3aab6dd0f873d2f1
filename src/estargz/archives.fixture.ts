/**
 * Archives for tests: those of other tools, and broken ones made by hand with nothing of the code under test.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import type { Digest } from "../oci/index.ts";
import { TarDecoder } from "../tar/index.ts";
import type { ArchiveInput } from "./index.ts";

/** A file of `test/vectors`. */
export function readVector(name: string): Uint8Array {
  return readFileSync(new URL(`../../test/vectors/${name}`, import.meta.url));
}

/** What a file of the vectors' tar is, as Python's tarfile read it. */
export interface ExpectedFile {
  readonly type: string;
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  readonly size?: number;
  readonly sha256?: string;
  readonly target?: string;
  readonly dev?: readonly [number, number];
  readonly xattrs?: Readonly<Record<string, string>>;
}

/** The expected files by path; the root is `""`. */
export function readExpectedFiles(): ReadonlyMap<string, ExpectedFile> {
  const text = new TextDecoder().decode(readVector("everything.expected.json"));
  return new Map(Object.entries(JSON.parse(text) as Record<string, ExpectedFile>));
}

/** sha256 in hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** sha256 as a digest. */
export function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${sha256(bytes)}`;
}

/** One ustar header of a regular file: enough for a TOC member. */
export function headerOf(name: string, size: number): Uint8Array {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write("0000000\0", 100);
  header.write("0000000\0", 108);
  header.write("0000000\0", 116);
  header.write(`${size.toString(8).padStart(11, "0")}\0`, 124);
  header.write("00000000000\0", 136);
  header.write("        ", 148);
  header.write("0", 156);
  header.write("ustar\u000000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

/** A tar with one file. */
export function tarOf(name: string, content: Uint8Array): Uint8Array {
  const padding = Buffer.alloc(((512 - (content.length % 512)) % 512) + 1024);
  return Buffer.concat([headerOf(name, content.length), content, padding]);
}

/** The 51 bytes of an eStargz footer. */
export function footerOf(offsetText: string): Uint8Array {
  return Buffer.concat([
    Buffer.from("1f8b08040000000000ff1a0053471600", "hex"),
    Buffer.from(`${offsetText}STARGZ`),
    Buffer.from("010000ffff0000000000000000", "hex"),
  ]);
}

/** An eStargz blob with a TOC of any text behind a payload of any bytes. */
export function craftBlob(tocText: string, payload: Uint8Array = CRAFTED_PAYLOAD): Uint8Array {
  const toc = gzipSync(tarOf("stargz.index.json", Buffer.from(tocText)));
  const offset = payload.length.toString(16).padStart(16, "0");
  return Buffer.concat([payload, toc, footerOf(offset)]);
}

/** The content of {@linkcode CRAFTED_PAYLOAD}'s second member. */
export const CRAFTED_CONTENT: Uint8Array = Buffer.from("hello, seekable world\n".repeat(40));
const FIRST_MEMBER = gzipSync(headerOf("file", CRAFTED_CONTENT.length));
/** Where the content's member begins. */
export const CRAFTED_OFFSET: number = FIRST_MEMBER.length;
/** Two members: a header, and content. */
export const CRAFTED_PAYLOAD: Uint8Array = Buffer.concat([FIRST_MEMBER, gzipSync(CRAFTED_CONTENT)]);

/** A regular file's entry that is right for {@linkcode CRAFTED_PAYLOAD}, but for what is given. */
export function fileEntry(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const digest = digestOf(CRAFTED_CONTENT);
  const size = CRAFTED_CONTENT.length;
  return { name: "file", type: "reg", size, offset: CRAFTED_OFFSET, digest, chunkDigest: digest, ...changes };
}

/** The events of a tar, in batches. */
export async function* eventsOf(
  tar: Uint8Array,
  options: { readonly sparse?: "raw" | "expand"; readonly piece?: number } = {},
): AsyncGenerator<readonly ArchiveInput[]> {
  const { sparse = "expand", piece = 65_536 } = options;
  const decoder = new TarDecoder({ sparse });
  for (let at = 0; at < tar.length; at += piece) yield [...decoder.push(tar.subarray(at, at + piece))];
  yield [...decoder.finish()];
}

/** All bytes of a stream. */
export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}
