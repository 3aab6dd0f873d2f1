/**
 * The files of a `docker save` archive and where they lie.
 *
 * | member | content |
 * | --- | --- |
 * | `manifest.json` | list of `{Config, RepoTags, Layers}`, members by name |
 * | `HEX.json`, or `blobs/sha256/HEX` | config |
 * | `ID/layer.tar`, `HEX.tar`, or `blobs/sha256/HEX` | layer, or a link to another one |
 * | `repositories`, `ID/VERSION`, `ID/json` | of old formats; not read |
 * | `oci-layout`, `index.json` | newer Docker: the archive is an OCI layout too |
 *
 * Source: archives that docker, podman and skopeo write.
 *
 * @module
 */
import { posix } from "node:path";
import type { BlobSource, ByteRange, ReadOptions } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import { cleanPath, paddingOf, TAR_BLOCK_SIZE, TarDecoder, type TarEntry } from "../tar/index.ts";

/** One read that finds one header; headers with long extensions take several. */
const HEADER_READ_BYTES = 16 * TAR_BLOCK_SIZE;
const MAX_HEADER_BYTES = 4 << 20;
const MAX_MEMBERS = 100_000;
const MAX_LINKS = 16;

type Member = { readonly range: ByteRange } | { readonly link: string };

/** Where the members of an archive lie in its file. */
export class DockerArchiveIndex {
  readonly #members: ReadonlyMap<string, Member>;

  constructor(members: ReadonlyMap<string, Member>) {
    this.#members = members;
  }

  /** The bytes of a member, through links; undefined if there is no such file. */
  find(name: string): ByteRange | undefined {
    let path = cleanPath(name);
    for (let hops = 0; hops <= MAX_LINKS; hops += 1) {
      const member = this.#members.get(path);
      if (member === undefined) return undefined;
      if ("range" in member) return member.range;
      path = member.link;
    }
    return undefined;
  }
}

/**
 * Reads the headers of an archive, and only those.
 *
 * @throws {EsgzError} `TAR_INVALID`, `LIMIT_EXCEEDED`; codes of the blob.
 */
export async function readDockerArchiveIndex(
  archive: BlobSource,
  options: ReadOptions = {},
): Promise<DockerArchiveIndex> {
  const members = new Map<string, Member>();
  for (let offset = 0; offset < archive.size;) {
    const entry = await readEntryAt(archive, { ...options, offset });
    if (entry === undefined) break;
    if (members.size >= MAX_MEMBERS) throw tooLarge(`${MAX_MEMBERS} members`);
    const dataOffset = offset + entry.dataOffset;
    const member = memberOf(entry, dataOffset);
    if (member !== undefined) members.set(cleanPath(entry.name), member);
    offset = dataOffset + entry.storedSize + paddingOf(entry.storedSize);
  }
  return new DockerArchiveIndex(members);
}

function memberOf(entry: TarEntry, offset: number): Member | undefined {
  if (entry.type === "reg") return { range: { offset, size: entry.storedSize } };
  if (entry.type === "hardlink") return { link: cleanPath(entry.linkName) };
  if (entry.type !== "symlink") return undefined;
  return { link: cleanPath(posix.join("/", posix.dirname(cleanPath(entry.name)), entry.linkName)) };
}

/** The entry whose header starts at `offset`, its own offsets counted from there; undefined at the end of the archive. */
async function readEntryAt(
  archive: BlobSource,
  options: ReadOptions & { readonly offset: number },
): Promise<TarEntry | undefined> {
  const { offset, signal } = options;
  const decoder = new TarDecoder();
  for (let read = 0; read < MAX_HEADER_BYTES;) {
    const size = Math.min(HEADER_READ_BYTES, archive.size - offset - read);
    if (size <= 0) return undefined;
    const bytes = await archive.read({ offset: offset + read, size }, { signal });
    for (const event of decoder.push(bytes)) {
      if (event.kind === "entry") return event.entry;
      if (event.kind === "trailer") return undefined;
    }
    read += size;
  }
  throw tooLarge(`${MAX_HEADER_BYTES} bytes of one header`);
}

function tooLarge(limit: string): EsgzError {
  return new EsgzError("LIMIT_EXCEEDED", `Cannot read docker archive: expected at most ${limit}`);
}
