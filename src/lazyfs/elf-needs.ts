/**
 * What an ELF program or library asks the loader for.
 *
 * ```text
 * file header     where the program headers are: 56 bytes each (32 in files of 32 bits)
 * PT_INTERP       the path of the loader
 * PT_DYNAMIC      pairs of tag and value: DT_NEEDED, DT_RPATH, DT_RUNPATH are offsets in the table at DT_STRTAB
 * PT_LOAD         where an address lies in the file
 * ```
 *
 * Files may be hostile: each call gives a value, and reads little more than a mebibyte in all.
 *
 * Source: System V ABI, "Object Files" and "Program Loading and Dynamic Linking".
 *
 * @module
 */
import { decodePathText, viewOf } from "../bytes/index.ts";

/** Reads bytes of a file from a safe integer on, which may lie behind its end; fewer where it ends. */
export type ReadBytes = (offset: number, size: number) => Promise<Uint8Array>;

/** What the loader will look for. */
export interface ElfNeeds {
  /** The machine, as `e_machine` has it: 62 is x86-64, 183 AArch64. */
  readonly machine: number;
  /** The path of the loader; undefined for libraries and static programs. */
  readonly interpreter: string | undefined;
  /** Names of libraries, or paths. */
  readonly libraries: readonly string[];
  /** Directories to look in first; `$ORIGIN` is that of the file. */
  readonly searchPath: readonly string[];
}

const [PT_LOAD, PT_DYNAMIC, PT_INTERP] = [1, 2, 3];
const [DT_NEEDED, DT_STRTAB, DT_RPATH, DT_RUNPATH] = [1, 5, 15, 29];
const HEADER_SIZE = 64;
const MAX_SEGMENTS = 128;
const MAX_DYNAMIC = 64 << 10;
const MAX_TEXTS = 256;
const MAX_TEXT = 4096;
/** Each is looked through for each library. */
const MAX_DIRECTORIES = 32;

/** Reads what a file needs; undefined if it is no ELF file, or a broken one. Rejects as `read` does. */
export async function readElfNeeds(read: ReadBytes): Promise<ElfNeeds | undefined> {
  const header = await read(0, HEADER_SIZE);
  const layout = layoutOf(header);
  if (layout === undefined) return undefined;
  const { offset, size, count } = layout.programHeaders(viewOf(header));
  // Neither the kernel nor loaders take other sizes.
  if (count > MAX_SEGMENTS || size !== layout.segmentSize) return undefined;
  const table = await readAt(read, { offset, size: size * count });
  if (table.length < size * count) return undefined;
  const segments = Array.from({ length: count }, (_, at) =>
    layout.segment(viewOf(table.subarray(at * size, (at + 1) * size))),
  );
  const interpreter = segments.find(({ type }) => type === PT_INTERP);
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  const texts = await readTexts(read, { layout, dynamic, segments });
  return {
    machine: viewOf(header).getUint16(18, layout.little),
    interpreter: interpreter === undefined ? undefined : await readText(read, interpreter.offset),
    libraries: texts.filter(({ tag }) => tag === DT_NEEDED).map(({ text }) => text),
    searchPath: texts
      .filter(({ tag }) => tag !== DT_NEEDED)
      .flatMap(({ text }) => text.split(":"))
      .filter((directory) => directory !== "")
      .slice(0, MAX_DIRECTORIES),
  };
}

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  /** Bytes in the file. */
  readonly size: number;
}

/** What depends on the width of words and the order of bytes. */
interface Layout {
  readonly little: boolean;
  readonly segmentSize: number;
  readonly wordSize: number;
  programHeaders(view: DataView): { readonly offset: number; readonly size: number; readonly count: number };
  segment(view: DataView): Segment;
  word(view: DataView, at: number): number;
}

function layoutOf(header: Uint8Array): Layout | undefined {
  const [a, b, c, d, width, order] = header;
  if (header.length < HEADER_SIZE || a !== 0x7f || b !== 0x45 || c !== 0x4c || d !== 0x46) return undefined;
  if (order !== 1 && order !== 2) return undefined;
  const little = order === 1;
  if (width === 2) return wideLayout(little);
  return width === 1 ? narrowLayout(little) : undefined;
}

function wideLayout(little: boolean): Layout {
  const word = (view: DataView, at: number): number => Number(view.getBigUint64(at, little));
  return {
    little,
    segmentSize: 56,
    wordSize: 8,
    word,
    programHeaders: (view) => ({
      offset: word(view, 32),
      size: view.getUint16(54, little),
      count: view.getUint16(56, little),
    }),
    segment: (view) => ({
      type: view.getUint32(0, little),
      offset: word(view, 8),
      address: word(view, 16),
      size: word(view, 32),
    }),
  };
}

function narrowLayout(little: boolean): Layout {
  const word = (view: DataView, at: number): number => view.getUint32(at, little);
  return {
    little,
    segmentSize: 32,
    wordSize: 4,
    word,
    programHeaders: (view) => ({
      offset: word(view, 28),
      size: view.getUint16(42, little),
      count: view.getUint16(44, little),
    }),
    segment: (view) => ({
      type: word(view, 0),
      offset: word(view, 4),
      address: word(view, 8),
      size: word(view, 16),
    }),
  };
}

async function readTexts(
  read: ReadBytes,
  file: {
    readonly layout: Layout;
    readonly dynamic: Segment | undefined;
    readonly segments: readonly Segment[];
  },
): Promise<{ readonly tag: number; readonly text: string }[]> {
  const { layout, dynamic, segments } = file;
  if (dynamic === undefined) return [];
  const { offset, size } = dynamic;
  const view = viewOf(await readAt(read, { offset, size: Math.min(size, MAX_DYNAMIC) }));
  const wanted: { readonly tag: number; readonly value: number }[] = [];
  let strings: number | undefined;
  for (let at = 0; at + 2 * layout.wordSize <= view.byteLength; at += 2 * layout.wordSize) {
    const [tag, value] = [layout.word(view, at), layout.word(view, at + layout.wordSize)];
    if (tag === 0) break;
    if (tag === DT_STRTAB) strings = fileOffsetOf(segments, value);
    if (tag === DT_NEEDED || tag === DT_RPATH || tag === DT_RUNPATH) wanted.push({ tag, value });
  }
  if (strings === undefined) return [];
  const texts: { readonly tag: number; readonly text: string }[] = [];
  for (const { tag, value } of wanted.slice(0, MAX_TEXTS)) {
    const text = await readText(read, strings + value);
    if (text !== undefined) texts.push({ tag, text });
  }
  return texts;
}

/** Where an address lies in the file. */
function fileOffsetOf(segments: readonly Segment[], address: number): number | undefined {
  const found = segments.find(
    (segment) =>
      segment.type === PT_LOAD && address >= segment.address && address < segment.address + segment.size,
  );
  return found === undefined ? undefined : found.offset + (address - found.address);
}

/** Text up to a zero byte; undefined if there is none in time. */
async function readText(read: ReadBytes, offset: number): Promise<string | undefined> {
  const bytes = await readAt(read, { offset, size: MAX_TEXT });
  const end = bytes.indexOf(0);
  return end <= 0 ? undefined : decodePathText(bytes.subarray(0, end));
}

/** Nothing where no file can have bytes. */
async function readAt(
  read: ReadBytes,
  { offset, size }: { readonly offset: number; readonly size: number },
): Promise<Uint8Array> {
  return Number.isSafeInteger(offset + size) ? await read(offset, size) : new Uint8Array(0);
}
