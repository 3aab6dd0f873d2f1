/**
 * A made-up layer, for practice.
 *
 * @module
 */
import { concatBytes, encodeUtf8 } from "../bytes/index.ts";
import { createCompressor, writeArchive } from "../estargz/index.ts";
import { encodeTarHeader, END_OF_ARCHIVE, paddingOf, TarDecoder, type TarEvent } from "../tar/index.ts";

const DIRECTORY_SIZE = 50;
const CHUNK_SIZE = 64 << 10;
const FIRST_SECONDS = 1_600_000_000;
const TWO_WEEKS = 14 * 24 * 3600;
const XATTRS: ReadonlyMap<string, Uint8Array> = new Map([["security.capability", new Uint8Array(20)]]);
/** As layers have that were made of overlay mounts. */
const OVERLAY_XATTRS: ReadonlyMap<string, Uint8Array> = new Map([
  ...XATTRS,
  ["user.overlay.origin", new Uint8Array(20)],
]);

/** Some directories just fill a block, so that none of them fits behind its inode; some take more than one. */
const LONGER = [0, 0, 0, 0, 14, 20];

/** What to make. */
export interface PracticeLayerOptions {
  /** How many entries, directories among them. */
  readonly files: number;
  /** The number of the first entry, a multiple of 50; default 0. Layers with the same numbers have the same names. */
  readonly first?: number;
  /** Bytes of each file beside its number; default none. */
  readonly fileSize?: number;
  /** Whether each file is a member of its own; default: one member holds all. */
  readonly apart?: boolean;
}

/**
 * An eStargz layer, as bytes: directories of 50 entries, which are of all kinds that images have often. What is not practised
 * is compiled as if it never happened, and again when it does.
 */
export async function makePracticeLayer(options: PracticeLayerOptions): Promise<Uint8Array> {
  const { files, first = 0, fileSize = 0, apart = false } = options;
  const entries = Array.from({ length: files }, (_, at) => tarOf(entryOf(first + at, fileSize)));
  const tar = concatBytes([...entries, END_OF_ARCHIVE]);
  const format = { format: "estargz", level: 1, landmark: "no-prefetch", jobs: 1 } as const;
  const sizes = { chunkSize: CHUNK_SIZE, minChunkSize: apart ? 0 : 1 << 20 };
  const compressor = createCompressor("zlib");
  return concatBytes(await Array.fromAsync(writeArchive(eventsOf(tar), { ...format, ...sizes, compressor })));
}

// oxlint-disable-next-line require-await -- the writer takes an asynchronous stream
async function* eventsOf(tar: Uint8Array): AsyncGenerator<TarEvent[]> {
  const decoder = new TarDecoder();
  yield [...decoder.push(tar)];
  yield [...decoder.finish()];
}

/** What is made of an entry. */
interface PracticeEntry {
  readonly name: string;
  readonly type: "reg" | "dir" | "symlink" | "hardlink" | "char";
  readonly content?: string;
  readonly linkName?: string;
  readonly xattrs?: ReadonlyMap<string, Uint8Array>;
}

/** Directory `at / 50`, or what is in it. */
function entryOf(at: number, fileSize: number): PracticeEntry {
  const part = Math.floor(at / DIRECTORY_SIZE);
  const directory = `usr/lib/part-${part}/`;
  const content = `content ${at}`.padEnd(fileSize, "practice ");
  const ending = `${"-long".repeat(LONGER[part % LONGER.length] ?? 0)}.so`;
  const file = { name: `${directory}file-${at}${ending}`, type: "reg", content } as const;
  const linkName = `${directory}file-${at - 20}${ending}`;
  switch (at % DIRECTORY_SIZE) {
    case 0:
      if (at === 0) return { name: "./", type: "dir" };
      // Some have no entry.
      return part % 4 === 3 ? file : { name: directory, type: "dir" };
    case 40:
      return { name: `${directory}empty-${at}/`, type: "dir" };
    case 41:
      return { name: `${directory}device-${at}`, type: "char" };
    case 42:
      return part % 7 === 6 ? { name: `${directory}.wh..wh..opq`, type: "reg" } : file;
    case 43:
      return { name: `${directory}.wh.gone-${at}`, type: "reg" };
    case 44:
      return { ...file, name: `${directory}d\u00e9j\u00e0-vu-${at}` };
    case 45:
      return { ...file, xattrs: part % 3 === 2 ? OVERLAY_XATTRS : XATTRS };
    case 46:
      return { ...file, content: content.padEnd(part % 5 === 4 ? 2 * CHUNK_SIZE + 1 : 9000, " long") };
    case 47:
      // Some texts take a block of their own.
      return {
        name: `${directory}link-${at}`,
        type: "symlink",
        linkName: `../part-${part}/file-${at}.so`.padEnd(part % 5 === 3 ? 4050 : 0, "/"),
      };
    case 48:
      return { name: `${directory}name-${at}`, type: "hardlink", linkName };
    case 49:
      return { name: `${directory}bin/tool-${at}`, type: "reg" };
    default:
      return file;
  }
}

function tarOf({
  name,
  type,
  content = "",
  linkName = "",
  xattrs = new Map<string, Uint8Array>(),
}: PracticeEntry): Uint8Array {
  const bytes = encodeUtf8(content);
  const header = encodeTarHeader({
    name,
    type,
    size: bytes.length,
    mode: 0o755,
    uid: name.length % 9 === 0 ? 1000 : 0,
    gid: name.length % 7 === 0 ? 42 : 0,
    userName: "root",
    groupName: "root",
    mtime: timeOf(5 * name.length),
    linkName,
    devMajor: 1,
    devMinor: 3,
    xattrs,
  });
  return concatBytes([header, bytes, new Uint8Array(paddingOf(bytes.length))]);
}

/** In all months; some with fractions of a second, as what was copied to an image has. */
function timeOf(number: number): { readonly seconds: number; readonly nanoseconds: number } {
  return {
    seconds: FIRST_SECONDS + number * TWO_WEEKS,
    nanoseconds: number % 8 === 0 ? 123_456_789 : 0,
  };
}
