/**
 * Writes the table of contents: compact JSON, members that are zero or empty left out.
 *
 * Source: eStargz specification, "TOC". Where the specification and the reference differ on `chunkSize`, both readers
 * understand what is written here: it is there for chunks of full size and absent for a shorter last one.
 *
 * @module
 */
import { encodeUtf8 } from "../bytes/index.ts";
import type { Digest } from "../oci/index.ts";
import { formatRfc3339 } from "./rfc3339.ts";
import type { ChunkRecord, FileRecord, NameRecord } from "./toc-records.ts";

const VERSION = 1;
/** Digest of no bytes. */
const EMPTY_DIGEST = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** A JSON object whose undefined members are not written. */
type TocObject = Record<string, unknown>;

/** Pieces of about so many characters are encoded at once, so that the whole text never exists as a string. */
const PIECE_LENGTH = 256 * 1024;

/** How a TOC is written. */
export interface EncodeTocOptions {
  /** The size of a full chunk. */
  readonly chunkSize: number;
  /** Say where files end and what size every one of several chunks has, as containers-storage does. */
  readonly explicitChunks?: boolean | undefined;
  /** The digest of the compressed tar-split data, where the blob has it. */
  readonly tarSplitDigest?: Digest | undefined;
}

/** Encodes a TOC; the pieces together are the JSON. */
export function encodeToc(records: Iterable<NameRecord>, options: EncodeTocOptions): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let text = `{"version":${VERSION},"entries":[`;
  let separator = "";
  for (const entry of entryObjects(records, options)) {
    text += separator + JSON.stringify(entry);
    separator = ",";
    if (text.length < PIECE_LENGTH) continue;
    pieces.push(encodeUtf8(text));
    text = "";
  }
  const { tarSplitDigest } = options;
  const end = tarSplitDigest === undefined ? "" : `,"tarSplitDigest":${JSON.stringify(tarSplitDigest)}`;
  pieces.push(encodeUtf8(`${text}]${end}}`));
  return pieces;
}

function* entryObjects(
  records: Iterable<NameRecord>,
  options: EncodeTocOptions,
): Generator<TocObject, void, undefined> {
  const users = new Map<number, string>();
  const groups = new Map<number, string>();
  for (const record of records) {
    const { uid, gid, userName, groupName } = record.file.metadata;
    const owner = {
      userName: ifChanged(users, uid, userName),
      groupName: ifChanged(groups, gid, groupName),
    };
    const [first, ...rest] = record.linkPath === undefined ? record.file.chunks : [];
    const style: ChunkStyle = { ...options, isOneOfMany: rest.length > 0 };
    yield entryObject(record, { owner, first, style });
    for (const chunk of rest) yield { name: record.name, type: "chunk", ...chunkMembers(chunk, style) };
  }
}

function entryObject(
  record: NameRecord,
  options: {
    readonly owner: TocObject;
    readonly first: ChunkRecord | undefined;
    readonly style: ChunkStyle;
  },
): TocObject {
  const { file, linkPath, name } = record;
  const { metadata } = file;
  const type = linkPath === undefined ? metadata.type : "hardlink";
  const isUnknownTime = metadata.mtime.seconds === 0 && metadata.mtime.nanoseconds === 0;
  return {
    name,
    type,
    size: type === "reg" ? unlessZero(metadata.size) : undefined,
    modtime: isUnknownTime ? undefined : formatRfc3339(metadata.mtime),
    linkName: linkPath ?? file.symlink,
    mode: unlessZero(metadata.mode),
    uid: unlessZero(metadata.uid),
    gid: unlessZero(metadata.gid),
    ...options.owner,
    devMajor: unlessZero(metadata.devMajor),
    devMinor: unlessZero(metadata.devMinor),
    xattrs: file.xattrs,
    digest: type === "reg" ? digestOf(file) : undefined,
    endOffset: options.style.explicitChunks === true ? file.chunks.at(-1)?.place.blobEnd : undefined,
    ...(options.first === undefined ? {} : chunkMembers(options.first, options.style)),
  };
}

interface ChunkStyle extends EncodeTocOptions {
  readonly isOneOfMany: boolean;
}

function chunkMembers(chunk: ChunkRecord, style: ChunkStyle): TocObject {
  const { chunkSize, explicitChunks = false, isOneOfMany } = style;
  const saysSize = chunk.size === chunkSize || (explicitChunks && isOneOfMany);
  return {
    offset: unlessZero(chunk.place.blobOffset),
    innerOffset: unlessZero(chunk.innerOffset),
    chunkOffset: unlessZero(chunk.fileOffset),
    chunkSize: saysSize ? chunk.size : undefined,
    chunkDigest: chunk.digest,
  };
}

function digestOf(file: FileRecord): string | undefined {
  return file.metadata.size === 0 ? EMPTY_DIGEST : file.digest;
}

function unlessZero(value: number): number | undefined {
  return value === 0 ? undefined : value;
}

/** A name that readers would not fill in by themselves from an earlier entry with the same id. */
function ifChanged(names: Map<number, string>, id: number, name: string): string | undefined {
  if (name === "" || names.get(id) === name) return undefined;
  names.set(id, name);
  return name;
}
