/**
 * Reads a tar stream that arrives in chunks of any size.
 *
 * | part of the stream | blocks                                                                               |
 * | ------------------ | ------------------------------------------------------------------------------------ |
 * | extension headers  | any of x (PAX), X (Solaris PAX), L and K (GNU long name and link), each with its payload |
 * | own header         | 1                                                                                    |
 * | sparse map         | 0 or more (GNU old: extension blocks; PAX 1.0: the first blocks of the payload)      |
 * | content, padding   | up to a whole block                                                                  |
 * | global header      | g with its payload, or V (GNU volume label): between entries                         |
 * | end of archive     | a block of zeros; whatever follows is not read as tar, as in GNU tar. May be missing |
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { ChunkReader } from "./chunk-reader.ts";
import { ContentCursor } from "./content-cursor.ts";
import { EntryBuilder } from "./entry-builder.ts";
import { HeaderGroup } from "./header-group.ts";
import { applyGlobalRecords, type PaxAttributes } from "./pax-attributes.ts";
import { decodePaxRecords } from "./pax-record.ts";
import { paddingOf, TAR_BLOCK_SIZE } from "./tar-block.ts";
import type { TarEntry, TarEvent } from "./tar-entry.ts";
import { checkLimit, invalidTar } from "./tar-error.ts";
import { DEFAULT_TAR_LIMITS, type TarLimits } from "./tar-limits.ts";
import { decodeUstarHeader, type UstarHeader } from "./ustar-header.ts";

/** How to read. */
export interface TarDecoderOptions {
  /** Limits that differ from `DEFAULT_TAR_LIMITS`. */
  readonly limits?: Partial<TarLimits>;
  /** Whether data events of sparse files have zeros for the holes (default), or the stored bytes alone. */
  readonly sparse?: "expand" | "raw";
}

/** An extension header whose payload is awaited. */
interface Extension {
  readonly typeFlag: string;
  readonly offset: number;
  readonly size: number;
}

type State = "header" | "extension" | "map" | "content" | "padding" | "trailer";

/**
 * A push decoder for tar streams.
 *
 * Bytes in events are views into the pushed chunk where possible: a chunk must not be changed as long as they are used.
 * Once a push is drained the decoder itself holds nothing of its chunk.
 */
export class TarDecoder {
  readonly #limits: TarLimits;
  readonly #expand: boolean;
  readonly #reader: ChunkReader = new ChunkReader();
  readonly #globals: PaxAttributes = new Map();
  #state: State = "header";
  #group: HeaderGroup | undefined;
  #globalHeader: Uint8Array | undefined;
  #extension: Extension = { typeFlag: "", offset: 0, size: 0 };
  #builder: EntryBuilder | undefined;
  #cursor: ContentCursor | undefined;
  #paddingLeft = 0;
  #holeBytes = 0;
  #failure: unknown;

  constructor(options: TarDecoderOptions = {}) {
    this.#limits = { ...DEFAULT_TAR_LIMITS, ...options.limits };
    this.#expand = options.sparse !== "raw";
  }

  /** The tar offset of the next byte that the decoder will look at. */
  get position(): number {
    return this.#reader.position;
  }

  /**
   * Takes the next bytes of the stream. The events are made while they are iterated; take them all before the next push.
   *
   * @throws TAR_INVALID, LIMIT_EXCEEDED while iterating, and again on every later push
   * @throws INTERNAL when the previous push was not drained
   */
  push(chunk: Uint8Array): Iterable<TarEvent> {
    this.#checkReady();
    this.#reader.load(chunk);
    return this.#drain();
  }

  /**
   * Ends the stream. There are no more events: whatever was complete has been given out. A stream may end without an end of
   * archive, and in the padding of its last entry: `umoci insert` writes such layers, and Go reads them.
   *
   * @throws TAR_INVALID when the stream ends inside an entry
   * @throws INTERNAL when the last push was not drained
   */
  finish(): Iterable<TarEvent> {
    this.#checkReady();
    const isComplete = this.#state === "header" && !this.#reader.hasPartial && this.#group === undefined;
    if (isComplete || this.#state === "padding" || this.#state === "trailer") return [];
    this.#failure = invalidTar(
      "archive",
      this.position,
      `expected more bytes of ${PARTS[this.#state]}, got its end`,
    );
    throw this.#failure;
  }

  #checkReady(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#reader.isEmpty && !this.#atHole) return;
    throw new EsgzError(
      "INTERNAL",
      "Cannot go on reading a tar: expected all events of the last push to be taken",
    );
  }

  *#drain(): Generator<TarEvent, void, undefined> {
    try {
      while (!this.#reader.isEmpty || this.#atHole) {
        const event = this.#step();
        if (event !== undefined) yield event;
      }
      this.#group?.detach();
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  get #atHole(): boolean {
    return this.#state === "content" && this.#cursor?.storedAhead === 0;
  }

  #step(): TarEvent | undefined {
    switch (this.#state) {
      case "header":
        return this.#readHeader();
      case "extension":
        return this.#readExtension();
      case "map":
        return this.#readMapBlock();
      case "content":
        return this.#readContent();
      case "padding":
        return this.#readPadding();
      case "trailer":
        return { kind: "trailer", bytes: this.#reader.takeSome(Infinity) };
    }
  }

  #readHeader(): TarEvent | undefined {
    const offset = this.#reader.pieceOffset;
    const block = this.#reader.take(TAR_BLOCK_SIZE);
    if (block === undefined) return undefined;
    if (isZero(block)) return this.#endArchive(block, offset);
    const ustar = decodeUstarHeader(block, offset);
    switch (ustar.typeFlag) {
      case "g":
      case "V":
        return this.#beginGlobal(block, ustar, offset);
      case "x":
      case "X":
      case "L":
      case "K":
        return this.#beginExtension(block, ustar, offset);
      default:
        return this.#beginEntry(block, ustar, offset);
    }
  }

  #endArchive(block: Uint8Array, offset: number): TarEvent {
    if (this.#group !== undefined)
      throw invalidTar("header", offset, "expected the entry of an extension header, got zeros");
    this.#state = "trailer";
    return { kind: "trailer", bytes: block };
  }

  #beginGlobal(block: Uint8Array, ustar: UstarHeader, offset: number): TarEvent | undefined {
    if (this.#group !== undefined) {
      throw invalidTar("header", offset, "expected the entry of an extension header, got a global header");
    }
    if (ustar.typeFlag === "V" && ustar.size > 0)
      throw invalidTar("volume label", offset, `expected size 0, got ${ustar.size}`);
    this.#globalHeader = block.slice();
    return this.#awaitPayload(ustar, offset);
  }

  #beginExtension(block: Uint8Array, ustar: UstarHeader, offset: number): TarEvent | undefined {
    this.#group ??= new HeaderGroup(offset, this.#limits);
    this.#group.addRaw(block);
    return this.#awaitPayload(ustar, offset);
  }

  #awaitPayload(ustar: UstarHeader, offset: number): TarEvent | undefined {
    const { typeFlag, size } = ustar;
    const isPath = typeFlag === "L" || typeFlag === "K";
    const limit = isPath ? this.#limits.maxPathBytes + TAR_BLOCK_SIZE : this.#limits.maxPaxBytes;
    checkLimit(size, { limit, what: "extension header", offset });
    this.#group?.reserve(size + paddingOf(size) + TAR_BLOCK_SIZE);
    this.#extension = { typeFlag, offset, size };
    this.#state = "extension";
    return size === 0 ? this.#readExtension() : undefined;
  }

  #readExtension(): TarEvent | undefined {
    const { typeFlag, offset, size } = this.#extension;
    const bytes = this.#reader.take(size + paddingOf(size));
    if (bytes === undefined) return undefined;
    this.#state = "header";
    const payload = bytes.subarray(0, size);
    if (this.#globalHeader !== undefined) return this.#endGlobal(this.#globalHeader, bytes, payload);
    this.#group?.addRaw(bytes);
    if (typeFlag === "L" || typeFlag === "K") this.#group?.setLongText(typeFlag, payload);
    else this.#group?.setPaxRecords(payload, offset + TAR_BLOCK_SIZE);
    return undefined;
  }

  #endGlobal(header: Uint8Array, bytes: Uint8Array, payload: Uint8Array): TarEvent {
    const { offset } = this.#extension;
    const records = decodePaxRecords(payload, offset + TAR_BLOCK_SIZE);
    applyGlobalRecords(this.#globals, records, { limit: this.#limits.maxGlobalBytes, offset });
    this.#globalHeader = undefined;
    const whole = new Uint8Array(header.length + bytes.length);
    whole.set(header);
    whole.set(bytes, header.length);
    return { kind: "global", bytes: whole };
  }

  #beginEntry(block: Uint8Array, ustar: UstarHeader, offset: number): TarEvent | undefined {
    const group = this.#group ?? new HeaderGroup(offset, this.#limits);
    group.addRaw(block);
    this.#group = group;
    this.#builder = new EntryBuilder({
      group,
      header: { block, ustar },
      globals: this.#globals,
      limits: this.#limits,
    });
    return this.#continueEntry(this.#builder);
  }

  #readMapBlock(): TarEvent | undefined {
    const block = this.#reader.take(TAR_BLOCK_SIZE);
    if (block === undefined || this.#builder === undefined) return undefined;
    this.#group?.addRaw(block);
    this.#builder.pushMapBlock(block);
    return this.#continueEntry(this.#builder);
  }

  #continueEntry(builder: EntryBuilder): TarEvent | undefined {
    if (builder.needsMapBlock) {
      this.#group?.reserve(TAR_BLOCK_SIZE);
      this.#state = "map";
      return undefined;
    }
    const entry = builder.build(this.position);
    this.#group = undefined;
    this.#builder = undefined;
    this.#beginContent(entry);
    return { kind: "entry", entry };
  }

  #beginContent(entry: TarEntry): void {
    if (this.#expand && entry.sparse !== undefined) {
      this.#holeBytes += entry.size - entry.storedSize;
      const limit = this.#limits.maxHoleBytes;
      checkLimit(this.#holeBytes, { limit, what: "holes of sparse files", offset: entry.headerOffset });
    }
    this.#cursor = new ContentCursor(entry, { expand: this.#expand });
    this.#paddingLeft = paddingOf(entry.storedSize);
    this.#endContentIfDone(this.#cursor);
  }

  #readContent(): TarEvent | undefined {
    const cursor = this.#cursor;
    if (cursor === undefined) return undefined;
    const stored = cursor.storedAhead;
    const bytes = stored === 0 ? cursor.takeHole() : this.#reader.takeSome(stored);
    if (stored > 0) cursor.advance(bytes.length);
    this.#endContentIfDone(cursor);
    return { kind: "data", bytes };
  }

  #endContentIfDone(cursor: ContentCursor): void {
    if (!cursor.isDone) this.#state = "content";
    else this.#state = this.#paddingLeft > 0 ? "padding" : "header";
  }

  #readPadding(): TarEvent {
    const bytes = this.#reader.takeSome(this.#paddingLeft);
    this.#paddingLeft -= bytes.length;
    if (this.#paddingLeft === 0) this.#state = "header";
    return { kind: "padding", bytes };
  }
}

const PARTS: Readonly<Record<Exclude<State, "trailer">, string>> = {
  header: "a header",
  extension: "an extension header",
  map: "a sparse map",
  content: "an entry's content",
  padding: "an entry's padding",
};

function isZero(block: Uint8Array): boolean {
  for (let i = 0; i < TAR_BLOCK_SIZE; i += 1) if (block[i] !== 0) return false;
  return true;
}
