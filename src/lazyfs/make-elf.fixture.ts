/**
 * For tests: ELF files that have what a loader looks at, and nothing to run.
 *
 * @module
 */
import { concatBytes, encodeUtf8 } from "../bytes/index.ts";

/** What to put into a file. */
export interface ElfPlan {
  /** `e_machine`; default 62, x86-64. */
  readonly machine?: number;
  readonly interpreter?: string;
  readonly needed?: readonly string[];
  readonly runpath?: string;
  /** What follows. */
  readonly rest?: Uint8Array;
}

const ADDRESS = 0x40_0000;
const HEADERS = 64 + 3 * 56;

/** A little-endian file of 64 bits. */
export function makeElf(plan: ElfPlan = {}): Uint8Array {
  const { machine = 62, interpreter, needed = [], runpath, rest = new Uint8Array(0) } = plan;
  const texts = [
    ...needed.map((text) => ({ tag: 1, text })),
    ...(runpath === undefined ? [] : [{ tag: 29, text: runpath }]),
  ];
  const dynamicSize = (texts.length + 2) * 16;
  const interpreterOffset = HEADERS + dynamicSize;
  const loader = encodeUtf8(`${interpreter ?? ""}\0`);
  const stringsOffset = interpreterOffset + loader.length;
  const dynamic = new DataView(new ArrayBuffer(dynamicSize));
  const strings: Uint8Array[] = [new Uint8Array(1)];
  let place = 1;
  let at = 0;
  const note = (tag: number, value: number): void => {
    dynamic.setBigUint64(at, BigInt(tag), true);
    dynamic.setBigUint64(at + 8, BigInt(value), true);
    at += 16;
  };
  for (const { tag, text } of texts) {
    const bytes = encodeUtf8(`${text}\0`);
    note(tag, place);
    strings.push(bytes);
    place += bytes.length;
  }
  note(5, ADDRESS + stringsOffset);
  const header = new DataView(new ArrayBuffer(HEADERS));
  header.setUint32(0, 0x7f454c46);
  header.setUint16(4, 0x0201);
  header.setUint16(18, machine, true);
  header.setBigUint64(32, 64n, true);
  header.setUint16(54, 56, true);
  header.setUint16(56, 3, true);
  const segment = (number: number, [type, offset, size]: readonly [number, number, number]): void => {
    const start = 64 + number * 56;
    header.setUint32(start, type, true);
    header.setBigUint64(start + 8, BigInt(offset), true);
    header.setBigUint64(start + 16, BigInt(ADDRESS + offset), true);
    header.setBigUint64(start + 32, BigInt(size), true);
  };
  segment(0, [1, 0, stringsOffset + place]);
  segment(1, [2, HEADERS, dynamicSize]);
  segment(2, [interpreter === undefined ? 0 : 3, interpreterOffset, loader.length]);
  const tables = [new Uint8Array(header.buffer), new Uint8Array(dynamic.buffer), loader];
  return concatBytes([...tables, ...strings, rest]);
}
