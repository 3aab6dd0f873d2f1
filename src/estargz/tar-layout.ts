/**
 * From the events of a tar to the tar that is written: which entries are kept, with which headers, and the landmark.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import {
  cleanPath,
  encodeTarHeader,
  END_OF_ARCHIVE,
  paddingOf,
  plainMetadata,
  TAR_BLOCK_SIZE,
  type TarEntry,
  type TarEvent,
  type TarMetadata,
} from "../tar/index.ts";
import type { MemberCutter } from "./member-cutter.ts";
import { NO_PREFETCH_LANDMARK, PREFETCH_LANDMARK, TOC_NAME } from "./resolve-toc.ts";
import type { TarSplitRecorder } from "./tar-split.ts";
import type { TocRecords } from "./toc-records.ts";

/**
 * What an archive is written from: the events of a tar, and where the prioritized files end. Bytes in events are kept
 * until they are compressed: their memory must not be used again.
 */
export type ArchiveInput = TarEvent | { readonly kind: "landmark" };

/** How the tar is written. */
export interface TarLayoutOptions {
  /** Whether every byte of the tar is kept. */
  readonly losslessTar: boolean;
  /** `none`: files keep their order, and nothing marks the prioritized ones. */
  readonly landmark: "no-prefetch" | "prefetch" | "none";
  /** Is told of every byte. Headers then say what the TOC says, and no more. */
  readonly tarSplit?: TarSplitRecorder | undefined;
  readonly cutter: MemberCutter;
  readonly records: TocRecords;
}

const LANDMARK_CONTENT = Uint8Array.of(0x0f);
const RESERVED_NAMES: readonly string[] = [PREFETCH_LANDMARK, NO_PREFETCH_LANDMARK, TOC_NAME];
const PADDING = new Uint8Array(TAR_BLOCK_SIZE);

/** Lays out the tar of one archive. */
export class TarLayout {
  readonly #options: TarLayoutOptions;
  #needsLandmark: boolean;
  #isDropping = false;
  #paddingLeft = 0;

  constructor(options: TarLayoutOptions) {
    this.#options = options;
    this.#needsLandmark = !options.losslessTar && options.landmark !== "none";
    if (options.landmark === "no-prefetch") this.#writeLandmark();
  }

  /**
   * Takes the next event.
   *
   * @throws {EsgzError} `NOT_SUPPORTED` for what a lossless archive cannot hold; `TAR_INVALID` for events out of order.
   */
  add(event: ArchiveInput): void {
    const { cutter, losslessTar } = this.#options;
    if (event.kind === "entry") this.#addEntry(event.entry);
    else if (event.kind === "data") this.#addData(event.bytes);
    else if (event.kind === "landmark") this.#addLandmark();
    else if (losslessTar) cutter.append(event.bytes);
  }

  /**
   * Ends the tar.
   *
   * @param endOfArchive whether to write the two zero blocks; a lossless tar has its own
   */
  finish(endOfArchive: boolean): void {
    const { cutter, losslessTar } = this.#options;
    this.#assertComplete();
    this.#writeLandmark();
    if (endOfArchive && !losslessTar) this.#appendGap(END_OF_ARCHIVE);
    cutter.cut();
  }

  #addEntry(entry: TarEntry): void {
    const { cutter, losslessTar, records, tarSplit } = this.#options;
    this.#assertComplete();
    this.#isDropping = RESERVED_NAMES.includes(cleanPath(entry.name));
    if (losslessTar) this.#assertLossless(entry);
    if (this.#isDropping) return;
    if (tarSplit === undefined) {
      const isVerbatim = losslessTar || (entry.selfContained && entry.sparse === undefined);
      cutter.append(isVerbatim ? entry.rawHeader : encodeTarHeader(entry));
    } else this.#appendRecorded(entry, tarSplit);
    const file = records.add(entry);
    const size = entry.type === "reg" ? entry.size : 0;
    this.#paddingLeft = losslessTar ? 0 : paddingOf(size);
    if (size > 0) cutter.beginFile(file, size);
  }

  #addData(bytes: Uint8Array): void {
    if (this.#isDropping) return;
    const { cutter, tarSplit } = this.#options;
    if (bytes.length > cutter.missing) {
      throw invalidInput(`${cutter.missing} more bytes of content`, `${bytes.length}`);
    }
    cutter.appendContent(bytes);
    tarSplit?.addContent(bytes);
    if (cutter.missing === 0) this.#pad();
  }

  #pad(): void {
    this.#appendGap(PADDING.subarray(0, this.#paddingLeft));
    this.#paddingLeft = 0;
  }

  #appendGap(bytes: Uint8Array): void {
    this.#options.cutter.append(bytes);
    this.#options.tarSplit?.addGap(bytes);
  }

  /** Appends a header that says what the TOC will say of the entry: readers of tar-split data compare the two. */
  #appendRecorded(entry: TarEntry, tarSplit: TarSplitRecorder): void {
    const linkName = entry.type === "hardlink" ? cleanPath(entry.linkName) : entry.linkName;
    const header = encodeTarHeader({ ...entry, linkName });
    this.#options.cutter.append(header);
    tarSplit.addEntry(entry, header);
  }

  #addLandmark(): void {
    const { landmark, losslessTar } = this.#options;
    this.#assertComplete();
    if (losslessTar) throw lossless("no landmark", "one");
    if (landmark === "none") return;
    if (landmark !== "prefetch" || !this.#needsLandmark) {
      throw invalidInput(`one landmark after the prioritized files`, `one with "${landmark}", or a second`);
    }
    this.#writeLandmark();
  }

  /** Writes the landmark in a member of its own, unless it is there or not wanted. */
  #writeLandmark(): void {
    if (!this.#needsLandmark) return;
    this.#needsLandmark = false;
    const { cutter, landmark, records } = this.#options;
    const metadata = landmarkMetadata(landmark === "prefetch" ? PREFETCH_LANDMARK : NO_PREFETCH_LANDMARK);
    cutter.append(encodeTarHeader(metadata));
    cutter.seal();
    cutter.beginFile(records.add(metadata), metadata.size);
    cutter.appendContent(LANDMARK_CONTENT);
    cutter.append(PADDING.subarray(0, paddingOf(metadata.size)));
    cutter.seal();
  }

  #assertComplete(): void {
    const { missing } = this.#options.cutter;
    if (missing > 0)
      throw invalidInput("the rest of a file's content", `its end, ${missing} bytes too early`);
  }

  #assertLossless(entry: TarEntry): void {
    if (this.#isDropping) throw lossless("no entry with a name of the format", JSON.stringify(entry.name));
    if (entry.sparse !== undefined) throw lossless("no sparse file", JSON.stringify(entry.name));
  }
}

function landmarkMetadata(name: string): TarMetadata {
  return plainMetadata({ name, size: LANDMARK_CONTENT.length, mode: 0 });
}

/** The header, content and end of the tar that the TOC member of an eStargz blob holds. */
export function tarOfToc(toc: Uint8Array): Uint8Array[] {
  const header = encodeTarHeader({ ...landmarkMetadata(TOC_NAME), size: toc.length });
  return [header, toc, PADDING.subarray(0, paddingOf(toc.length)), END_OF_ARCHIVE];
}

function invalidInput(expected: string, found: string): EsgzError {
  return new EsgzError("TAR_INVALID", `Cannot write archive: expected ${expected}, got ${found}`);
}

function lossless(expected: string, found: string): EsgzError {
  return new EsgzError("NOT_SUPPORTED", `Cannot keep the tar as it is: expected ${expected}, got ${found}`);
}
