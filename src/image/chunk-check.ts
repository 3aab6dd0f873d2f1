/**
 * Checking chunks where the table of contents says they are, while the blob passes by.
 *
 * @module
 */
import { concatBytes } from "../bytes/index.ts";
import { messageOf } from "../errors/index.ts";
import { type Archive, inflateMember, type Member } from "../estargz/index.ts";
import { algorithmOf, type Digest } from "../oci/index.ts";
import { digestOf } from "./checked-manifest.ts";
import type { LayerReportBuilder } from "./layer-report.ts";

/** More of one member is not kept: chunks that begin later in it cannot be read by others either. */
const MAX_MEMBER_BYTES = 192 << 20;

/** Takes the blob's bytes in order and checks each member's chunks when its last byte has come. */
export class ChunkCheck {
  readonly #archive: Archive;
  readonly #report: LayerReportBuilder;
  readonly #members: readonly Member[];
  #next = 0;
  #position = 0;
  #parts: Uint8Array[] = [];
  #size = 0;
  #count = 0;

  constructor(archive: Archive, report: LayerReportBuilder) {
    this.#archive = archive;
    this.#report = report;
    this.#members = archive.chunksByMember();
  }

  /** Chunks that were compared. */
  get count(): number {
    return this.#count;
  }

  /** The next bytes of the blob; they are kept until their member is complete. */
  push(bytes: Uint8Array): void {
    const start = this.#position;
    const end = start + bytes.length;
    for (let member = this.#members[this.#next]; member !== undefined; member = this.#members[this.#next]) {
      if (member.blobOffset >= end) break;
      const from = Math.max(0, member.blobOffset - start);
      const part = bytes.subarray(from, Math.min(bytes.length, member.blobEnd - start));
      if (this.#size < MAX_MEMBER_BYTES) this.#parts.push(part);
      this.#size += part.length;
      if (member.blobEnd > end) break;
      this.#checkMember(member);
    }
    this.#position = end;
  }

  /** The blob has ended. */
  finish(): void {
    for (const member of this.#members.slice(this.#next)) this.#failMember(member, "the blob ends before it");
  }

  #checkMember(member: Member): void {
    const compressed = concatBytes(this.#parts);
    this.#parts = [];
    this.#size = 0;
    this.#next += 1;
    const size = Math.max(...member.chunks.map(({ chunk }) => chunk.innerOffset + chunk.size));
    let content: Uint8Array;
    try {
      content = inflateMember(compressed, { compression: this.#archive.compression, size });
    } catch {
      this.#checkSeparately(member, compressed);
      return;
    }
    for (const { entry, chunk } of member.chunks) {
      const bytes = content.subarray(chunk.innerOffset, chunk.innerOffset + chunk.size);
      this.#compare(bytes, { where: whereOf(entry.path, chunk.fileOffset), digest: chunk.digest });
    }
  }

  /** The member is damaged: the chunks before the damage can still be right. */
  #checkSeparately(member: Member, compressed: Uint8Array): void {
    const { compression } = this.#archive;
    for (const { entry, chunk } of member.chunks) {
      const where = whereOf(entry.path, chunk.fileOffset);
      const end = chunk.innerOffset + chunk.size;
      try {
        const content = inflateMember(compressed, { compression, size: end });
        this.#compare(content.subarray(chunk.innerOffset, end), { where, digest: chunk.digest });
      } catch (error) {
        this.#count += 1;
        this.#report.find("chunks", where, messageOf(error));
      }
    }
  }

  #failMember(member: Member, reason: string): void {
    for (const { entry, chunk } of member.chunks) {
      this.#report.find("chunks", whereOf(entry.path, chunk.fileOffset), reason);
    }
  }

  #compare(bytes: Uint8Array, { where, digest }: { where: string; digest: Digest | undefined }): void {
    this.#count += 1;
    if (digest === undefined) return;
    const found = digestOf(bytes, algorithmOf(digest));
    if (found !== digest) this.#report.find("chunks", where, `expected digest ${digest}, got ${found}`);
  }
}

function whereOf(path: string, fileOffset: number): string {
  return `${path} at ${fileOffset}`;
}
