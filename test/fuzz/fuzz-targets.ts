/**
 * What is fuzzed: each target makes one input from random numbers and feeds it to the code.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { MemoryBlob } from "../../src/blob/index.ts";
import {
  createCompressor,
  decodeFooter,
  inflateMember,
  openArchive,
  readFile,
  writeArchive,
  type ArchiveInput,
} from "../../src/estargz/index.ts";
import { END_OF_ARCHIVE, TarDecoder } from "../../src/tar/index.ts";
import { mutateBytes, mutateJson } from "./mutations.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** A way in for foreign bytes. */
export interface FuzzTarget {
  readonly name: string;
  /** How many of a thousand inputs are its. */
  readonly share: number;
  /** Feeds one input. Resolves when the code gave a value; rejects as the code did. */
  run(random: SeededRandom): Promise<void>;
}

/** The names of the targets. */
export const TARGET_NAMES = ["footer", "toc", "tar", "blob"] as const;

/** A reader that stops after this much has shown all that a longer read could. */
const MAX_READ = 1 << 20;

/** Makes the targets: reads the vectors and writes the archives that inputs are made from. */
export async function createTargets(): Promise<readonly FuzzTarget[]> {
  const tar = smallTar(readVector("everything.tar"));
  const archives = await sampleArchives(tar);
  return [footerTarget(), tocTarget(), tarTarget(tar), blobTarget(archives)];
}

function readVector(name: string): Uint8Array {
  return readFileSync(new URL(`../vectors/${name}`, import.meta.url));
}

function footerTarget(): FuzzTarget {
  const names = ["everything.default.blob", "everything.legacy-stargz.blob", "everything.externaltoc.blob"];
  const tails = [...names, "everything.zstdchunked.blob"].map((name) => readVector(name).slice(-72));
  return {
    name: "footer",
    share: 300,
    run: async (random) => {
      const tail = tails[random.below(tails.length)] ?? new Uint8Array(0);
      decodeFooter(mutateBytes(tail, random), random.chance(0.5) ? random.uint32() : 500_000);
    },
  };
}

function tocTarget(): FuzzTarget {
  const payload = Buffer.alloc(20_000, "payload");
  const blob = new MemoryBlob(
    Buffer.concat([payload, readVector("everything.externaltoc.blob").subarray(-46)]),
  );
  const text = JSON.stringify(sampleToc());
  const open = async (externalToc: Uint8Array): Promise<void> => {
    const archive = await openArchive(blob, { externalToc });
    const { entries } = archive.verify(archive.tocDigest);
    for (const entry of entries)
      if (entry.path === ".." || entry.path.startsWith("../")) throw new Error("a path climbs");
  };
  return {
    name: "toc",
    share: 400,
    run: async (random) => {
      if (random.chance(0.3)) return await open(mutateBytes(Buffer.from(text), random));
      const toc = JSON.parse(text) as { entries: Record<string, unknown>[] };
      mutateJson(toc.entries, random);
      await open(Buffer.from(JSON.stringify(toc)));
    },
  };
}

/** A TOC with every kind of entry; its chunks have no content behind them. */
function sampleToc(): object {
  const digest = `sha256:${"ab".repeat(32)}`;
  const file = {
    type: "reg",
    size: 30,
    digest,
    chunkDigest: digest,
    modtime: "2023-11-14T22:13:20Z",
    mode: 420,
  };
  return {
    version: 1,
    entries: [
      { name: "./", type: "dir", mode: 493 },
      { name: "bin/", type: "dir", mode: 493, uid: 5, userName: "five", xattrs: { "user.a": "AA==" } },
      { name: "bin/tool", ...file, offset: 100, chunkSize: 20 },
      { name: "bin/tool", type: "chunk", offset: 300, chunkOffset: 20, chunkSize: 10, chunkDigest: digest },
      { name: "bin/hard", type: "hardlink", linkName: "bin/tool" },
      { name: "bin/hard2", type: "hardlink", linkName: "bin/hard" },
      { name: "bin/soft", type: "symlink", linkName: "tool" },
      { name: "etc/a", ...file, offset: 900, chunkType: "", endOffset: 1000 },
      { name: "etc/b", ...file, offset: 1000, innerOffset: 30 },
      { name: "etc/hole", type: "reg", size: 99, chunkSize: 99, chunkType: "zeros" },
      { name: "dev/null", type: "char", devMajor: 1, devMinor: 3 },
      { name: ".no.prefetch.landmark", ...file, size: 1, offset: 50 },
    ],
  };
}

function tarTarget(tar: Uint8Array): FuzzTarget {
  return {
    name: "tar",
    share: 200,
    run: async (random) => {
      const input = mutateBytes(tar, random);
      if (random.chance(0.8)) repairChecksums(input);
      readTar(input, 1 + random.below(random.chance(0.5) ? 700 : input.length));
    },
  };
}

function readTar(tar: Uint8Array, piece: number): void {
  const decoder = new TarDecoder();
  let read = 0;
  const drain = (events: Iterable<ArchiveInput>): boolean => {
    for (const event of events) {
      read += event.kind === "data" ? event.bytes.length : 1;
      if (read > MAX_READ) return false;
    }
    return true;
  };
  for (let at = 0; at < tar.length; at += piece) {
    if (!drain(decoder.push(tar.subarray(at, at + piece)))) return;
  }
  drain(decoder.finish());
}

/** Lets damaged headers look right, so that the damage gets further. */
function repairChecksums(tar: Uint8Array): void {
  for (let at = 0; at + 512 <= tar.length; at += 512) {
    const block = tar.subarray(at, at + 512);
    if (block[257] !== 0x75 || block[258] !== 0x73) continue;
    block.fill(0x20, 148, 156);
    const sum = block.reduce((total, byte) => total + byte, 0);
    block.set(Buffer.from(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  }
}

function blobTarget(archives: readonly Uint8Array[]): FuzzTarget {
  const members = [gzipSync(Buffer.alloc(3000, "content")), zstdCompressSync(Buffer.alloc(3000, "content"))];
  return {
    name: "blob",
    share: 100,
    run: async (random) => {
      if (random.chance(0.3)) {
        const zstd = random.below(2);
        const member = mutateBytes(members[zstd] ?? new Uint8Array(0), random);
        inflateMember(member, { compression: zstd === 1 ? "zstd" : "gzip", size: random.below(4000) });
        return;
      }
      await readBlob(mutateBytes(archives[random.below(archives.length)] ?? new Uint8Array(0), random));
    },
  };
}

async function readBlob(bytes: Uint8Array): Promise<void> {
  const blob = new MemoryBlob(bytes);
  const unverified = await openArchive(blob);
  const archive = unverified.verify(unverified.tocDigest);
  let read = 0;
  for (const { path, type } of archive.entries) {
    if (type !== "reg") continue;
    for await (const part of readFile(archive, blob, path)) read += part.length;
    if (read > MAX_READ) return;
  }
}

/** Some entries of a tar: all but the large files, ended properly. */
function smallTar(tar: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  let isTaken = false;
  for (const event of new TarDecoder({ sparse: "raw" }).push(tar)) {
    if (event.kind === "trailer") break;
    if (event.kind === "entry") isTaken = event.entry.size < 5000 && parts.length < 60;
    if (isTaken) parts.push(event.kind === "entry" ? event.entry.rawHeader : event.bytes);
  }
  return Buffer.concat([...parts, END_OF_ARCHIVE]);
}

async function sampleArchives(tar: Uint8Array): Promise<readonly Uint8Array[]> {
  const zlib = { format: "estargz", compressor: createCompressor("zlib"), level: 6 } as const;
  const zstd = { format: "zstd:chunked", compressor: createCompressor("zstd"), level: 3 } as const;
  const made = [zlib, zstd, { ...zlib, chunkSize: 1000, minChunkSize: 3000 }].map(async (options) => {
    const stream = writeArchive(filesOf(tar), { ...options, landmark: "no-prefetch", jobs: 2 });
    return Buffer.concat(await Array.fromAsync(stream));
  });
  return [...(await Promise.all(made)), readVector("small.default.blob"), readVector("empty.default.blob")];
}

/** The events of a tar without hard links, whose targets may have been too large to be taken. */
async function* filesOf(tar: Uint8Array): AsyncGenerator<readonly ArchiveInput[]> {
  const events = [...new TarDecoder().push(tar)];
  yield events.filter((event) => event.kind !== "entry" || event.entry.type !== "hardlink");
}
