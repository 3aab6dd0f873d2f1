/**
 * Where the modules of a Java runtime lie in its file `lib/modules`, a container of all of them.
 *
 * ```text
 * header      28 bytes: 0xcafedada, version 1.0, flags, resources, entries of the tables, bytes of locations and of texts
 * redirects   4 bytes for each entry
 * offsets     4 bytes for each entry: where its location begins
 * locations   attributes, each a byte (kind << 3 | size - 1) and a big-endian number; kind 0 ends a location
 * texts       names, each ended by a zero byte
 * contents
 * ```
 *
 * Numbers outside locations are in the order of the machine. Files may be hostile: each call gives a value.
 *
 * Source: OpenJDK, `jdk.internal.jimage`: ImageHeader, ImageLocation, ImageStringsReader.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import type { ByteRange } from "../blob/index.ts";
import { decodePathText, viewOf } from "../bytes/index.ts";

/** Bytes of the header. */
export const MODULES_HEADER_SIZE = 28;

/** What the header of the file says. */
export interface ModulesHeader {
  readonly little: boolean;
  /** Entries of the tables. */
  readonly entries: number;
  /** Bytes of the locations. */
  readonly locations: number;
  /** Bytes up to the contents. */
  readonly indexSize: number;
}

const MAGIC = 0xcafe_dada;
const VERSION = 0x1_0000;
const [END, MODULE, OFFSET, COMPRESSED, UNCOMPRESSED] = [0, 1, 5, 6, 7];
/** Names of modules are shorter. */
const MAX_NAME = 128;
/** Others have their turn after so many. */
const LOCATIONS_AT_ONCE = 4096;
/** What lies between two ranges costs less than a request of its own. */
const MAX_GAP = 256 << 10;

/** Reads the header; undefined if it is none. */
export function readModulesHeader(bytes: Uint8Array): ModulesHeader | undefined {
  if (bytes.length < MODULES_HEADER_SIZE) return undefined;
  const view = viewOf(bytes);
  const little = view.getUint32(0, true) === MAGIC;
  const word = (at: number): number => view.getUint32(4 * at, little);
  if (word(0) !== MAGIC || word(1) !== VERSION) return undefined;
  const [entries, locations, texts] = [word(4), word(5), word(6)];
  return { little, entries, locations, indexSize: MODULES_HEADER_SIZE + 8 * entries + locations + texts };
}

/**
 * The ranges of the file that hold the contents of modules, ascending, with small gaps between them.
 *
 * @param index the beginning of the file, of the header's `indexSize`
 */
export async function findModules(
  index: Uint8Array,
  options: { readonly header: ModulesHeader; readonly names: ReadonlySet<string> },
): Promise<readonly ByteRange[]> {
  const { header, names } = options;
  const found: ByteRange[] = [];
  if (index.length < header.indexSize) return found;
  const reader = new LocationReader(index, { header, names });
  for (let entry = 0; entry < header.entries; entry += 1) {
    if (entry % LOCATIONS_AT_ONCE === 0) await setImmediate();
    const range = reader.read(entry);
    if (range !== undefined && range.size > 0) found.push(range);
  }
  return joined(found.toSorted((a, b) => a.offset - b.offset));
}

/** Reads locations of an index that is all there. */
class LocationReader {
  readonly #index: Uint8Array;
  readonly #view: DataView;
  readonly #header: ModulesHeader;
  readonly #names: ReadonlySet<string>;
  readonly #locations: number;
  readonly #texts: number;
  /** By where a module's name lies. */
  readonly #wanted = new Map<number, boolean>();

  constructor(
    index: Uint8Array,
    { header, names }: { readonly header: ModulesHeader; readonly names: ReadonlySet<string> },
  ) {
    this.#index = index;
    this.#view = viewOf(index);
    this.#header = header;
    this.#names = names;
    this.#locations = MODULES_HEADER_SIZE + 8 * header.entries;
    this.#texts = this.#locations + header.locations;
  }

  /** The range of a resource in the file; undefined if its module is none of those. */
  read(entry: number): ByteRange | undefined {
    const { little, entries, indexSize } = this.#header;
    let at = this.#locations + this.#view.getUint32(MODULES_HEADER_SIZE + 4 * (entries + entry), little);
    let [isWanted, offset, compressed, uncompressed] = [false, 0, 0, 0];
    while (at < this.#texts) {
      const first = this.#index[at] ?? END;
      const [kind, size] = [first >>> 3, (first & 7) + 1];
      if (kind === END) break;
      const value = this.#number(at + 1, size);
      // The module comes first: of most there is nothing more to read.
      if (kind === MODULE) isWanted = this.#isWanted(value);
      if (kind === MODULE && !isWanted) return undefined;
      if (kind === OFFSET) offset = value;
      if (kind === COMPRESSED) compressed = value;
      if (kind === UNCOMPRESSED) uncompressed = value;
      at += 1 + size;
    }
    if (!isWanted) return undefined;
    return { offset: indexSize + offset, size: compressed === 0 ? uncompressed : compressed };
  }

  #isWanted(module: number): boolean {
    const known = this.#wanted.get(module);
    if (known !== undefined) return known;
    const isWanted = this.#names.has(this.#text(module));
    this.#wanted.set(module, isWanted);
    return isWanted;
  }

  #text(offset: number): string {
    const begin = this.#texts + offset;
    const text = this.#index.subarray(begin, begin + MAX_NAME);
    return decodePathText(text.subarray(0, text.indexOf(0)));
  }

  #number(at: number, size: number): number {
    let value = 0;
    for (let index = at; index < at + size; index += 1) value = value * 256 + (this.#index[index] ?? 0);
    return value;
  }
}

function joined(ascending: readonly ByteRange[]): readonly ByteRange[] {
  const ranges: { offset: number; size: number }[] = [];
  for (const { offset, size } of ascending) {
    const last = ranges.at(-1);
    if (last !== undefined && offset - (last.offset + last.size) <= MAX_GAP)
      last.size = Math.max(last.size, offset + size - last.offset);
    else ranges.push({ offset, size });
  }
  return ranges;
}
