/**
 * What the kernel shows of a tree.
 */
import { lstatSync, readdirSync, readFileSync, readlinkSync, type BigIntStats } from "node:fs";
import { decodePathText, encodePathText } from "../../src/bytes/index.ts";
import type { ErofsNodeType } from "../../src/erofs/index.ts";
import { fileContent, hexOf, sortedNames, withFirstNames, type Descriptions } from "./erofs-trees.ts";
import { listXattrs } from "./linux.ts";

/** Describes what the kernel shows below a directory. */
export function describeMount(root: string): Descriptions {
  const found: Descriptions = {};
  const inodes = new Map<string, string>();
  const visit = (path: string): void => {
    const place = Buffer.concat([Buffer.from(root), encodePathText(path)]);
    const stat = lstatSync(place, { bigint: true });
    const type = typeOf(stat);
    inodes.set(path, `${stat.ino}`);
    found[path] = {
      type,
      mode: Number(stat.mode) & 0o7777,
      owner: `${stat.uid}:${stat.gid}`,
      mtime: `${stat.mtimeNs}`,
      nlink: Number(stat.nlink),
      xattrs: hexOf(listXattrs(place)),
      sameAs: "",
      content: mountContent(place, type, stat),
    };
    if (type !== "dir") return;
    const names = readdirSync(place, { encoding: "buffer" }).map((name) =>
      decodePathText(Uint8Array.from(name)),
    );
    for (const name of sortedNames(names)) visit(`${path}/${name}`);
  };
  visit("");
  return withFirstNames(found, (path) => inodes.get(path) ?? "");
}

function mountContent(place: Buffer, type: ErofsNodeType, stat: BigIntStats): string {
  if (type === "symlink") return decodePathText(Uint8Array.from(readlinkSync(place, { encoding: "buffer" })));
  if (type === "char" || type === "block") return `${majorOf(stat.rdev)}:${minorOf(stat.rdev)}`;
  return type === "reg" ? fileContent(readFileSync(place)) : "";
}

function typeOf(stat: BigIntStats): ErofsNodeType {
  if (stat.isFile()) return "reg";
  if (stat.isDirectory()) return "dir";
  if (stat.isSymbolicLink()) return "symlink";
  if (stat.isCharacterDevice()) return "char";
  if (stat.isBlockDevice()) return "block";
  return stat.isFIFO() ? "fifo" : "socket";
}

/** The C library's `major()`. */
function majorOf(rdev: bigint): bigint {
  return ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xffff_f000n);
}

/** The C library's `minor()`. */
function minorOf(rdev: bigint): bigint {
  return (rdev & 0xffn) | ((rdev >> 12n) & 0xffff_ff00n);
}
