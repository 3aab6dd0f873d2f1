/**
 * Random trees for EROFS, and two ways to look at one: as it was given, and through the reader. Both give the same
 * description, and so does what a mount shows.
 */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { decodePathText, encodeHex, encodePathText } from "../../src/bytes/index.ts";
import {
  walkErofs,
  type ErofsAttributes,
  type ErofsDirectory,
  type ErofsExtent,
  type ErofsNode,
  type ErofsNodeType,
  type ErofsReader,
} from "../../src/erofs/index.ts";

export const BLOCK = 4096;
export const DEVICE_BLOCKS = 64;

/** What is compared of one name. */
interface Description {
  readonly type: ErofsNodeType;
  readonly mode: number;
  readonly owner: string;
  readonly mtime: string;
  readonly nlink: number;
  readonly xattrs: Readonly<Record<string, string>>;
  /** The first name of the same inode. */
  readonly sameAs: string;
  /** Device number, text of a symlink, or size and SHA-256 of a file. */
  readonly content: string;
}

export type Descriptions = Record<string, Description>;

interface Draft {
  readonly attributes: ErofsAttributes;
  readonly kind: ErofsNodeType | "link";
  readonly parent: number;
  readonly name: string;
  readonly target: string;
  readonly segments: readonly { gap: number; blocks: number; device: number; block: number }[];
  readonly tail: number;
  readonly trailingHole: number;
  readonly rdev: readonly [number, number];
}

const nameText: fc.Arbitrary<string> = fc
  .oneof(
    { weight: 4, arbitrary: fc.stringMatching(/^[ -.0-~]{1,12}$/) },
    fc.constantFrom(
      "-",
      "!",
      ".-",
      ".,x",
      "..a",
      "...",
      "a".repeat(255),
      "\ue000",
      "\u{1f600}",
      "é",
      "\uffff",
      "\ufeffbom",
    ),
    fc
      .uint8Array({ minLength: 1, maxLength: 8 })
      .map((bytes) => decodePathText(bytes.map((byte) => byte || 1))),
  )
  .filter((name) => !/[/\0]/.test(name) && name !== "." && name !== "..");

const xattrs = fc.dictionary(
  fc.oneof(
    fc.constantFrom("user.a", "user.mime", "trusted.overlay.opaque", "security.esgz", "trusted.x"),
    fc
      .stringMatching(/^(user|trusted|security)\.[a-z]{1,20}$/)
      .filter((name) => !/^security\.(capability|selinux|ima|evm)$/.test(name)),
  ),
  fc.oneof(fc.constantFrom("79", "", "0102"), fc.uint8Array({ maxLength: 5000, size: "max" }).map(encodeHex)),
  { maxKeys: 4 },
);

const attributes: fc.Arbitrary<ErofsAttributes> = fc.record({
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.integer({ min: 0, max: 0xffff_fffe }),
  gid: fc.integer({ min: 0, max: 0xffff_fffe }),
  mtime: fc.record({
    seconds: fc.integer({ min: -5e9, max: 2e10 }),
    nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
  }),
  xattrs: xattrs.map(
    (entries) => new Map(Object.entries(entries).map(([name, hex]) => [name, Buffer.from(hex, "hex")])),
  ),
});

const draft: fc.Arbitrary<Draft> = fc.record({
  attributes,
  kind: fc.constantFrom(
    "reg",
    "reg",
    "reg",
    "dir",
    "dir",
    "symlink",
    "char",
    "block",
    "fifo",
    "socket",
    "link",
  ),
  parent: fc.nat(1000),
  name: nameText,
  target: fc.oneof(
    fc.stringMatching(/^[!-~]{1,40}$/),
    fc.integer({ min: 1, max: 4095 }).map((size) => "t".repeat(size)),
    nameText,
  ),
  segments: fc.array(
    fc.record({
      gap: fc.constantFrom(0, 0, 0, 1, 2, 4),
      blocks: fc.integer({ min: 1, max: 9 }),
      device: fc.nat(2),
      block: fc.nat(DEVICE_BLOCKS - 10),
    }),
    { maxLength: 4 },
  ),
  tail: fc.integer({ min: 1, max: BLOCK }),
  trailingHole: fc.constantFrom(0, 0, 1, 5000),
  rdev: fc.tuple(fc.nat(0xfff), fc.nat(0xf_ffff)),
});

/** Trees of up to 40 names over three devices of {@link DEVICE_BLOCKS} blocks. */
export const randomTree: fc.Arbitrary<ErofsDirectory> = fc
  .tuple(attributes, fc.array(draft, { maxLength: 40, size: "max" }))
  .map(([root, drafts]) => buildTree(root, drafts));

function buildTree(root: ErofsAttributes, drafts: readonly Draft[]): ErofsDirectory {
  const directories = [{ children: new Map<string, ErofsNode>(), names: new Set<string>() }];
  const linkable: ErofsNode[] = [];
  const top: ErofsDirectory = { ...root, type: "dir", children: directories[0]?.children ?? new Map() };
  for (const one of drafts) {
    const parent = directories[one.parent % directories.length];
    const nameHex = encodeHex(encodePathText(one.name));
    if (parent === undefined || parent.names.has(nameHex)) continue;
    const node =
      one.kind === "link" ? linkable[one.parent % Math.max(1, linkable.length)] : nodeFrom(one, one.kind);
    if (node === undefined) continue;
    parent.names.add(nameHex);
    parent.children.set(one.name, node);
    if (node.type !== "dir") linkable.push(node);
    else if (node.children instanceof Map) directories.push({ children: node.children, names: new Set() });
  }
  return top;
}

function nodeFrom(one: Draft, type: ErofsNodeType): ErofsNode {
  // The kernel shows user attributes of files and directories only.
  const visible = [...(one.attributes.xattrs ?? [])].filter(
    ([name]) => type === "reg" || type === "dir" || !name.startsWith("user."),
  );
  const base = { ...one.attributes, xattrs: new Map(visible) };
  const [major, minor] = one.rdev;
  if (type === "dir") return { ...base, type, children: new Map<string, ErofsNode>() };
  if (type === "symlink") return { ...base, type, target: one.target };
  if (type === "char" || type === "block") return { ...base, type, major, minor };
  if (type === "reg") return { ...base, type, ...extentsFrom(one) };
  return { ...base, type };
}

function extentsFrom({ segments, tail, trailingHole }: Draft): { size: number; extents: ErofsExtent[] } {
  let fileOffset = 0;
  const extents = segments.map(({ gap, blocks, device, block }, index) => {
    fileOffset += gap * BLOCK;
    const isLast = index === segments.length - 1;
    const size = (blocks - 1) * BLOCK + (isLast ? tail : BLOCK);
    const extent = { fileOffset, size, device, deviceOffset: block * BLOCK };
    fileOffset += isLast && trailingHole === 0 ? size : blocks * BLOCK;
    return extent;
  });
  return { size: fileOffset + trailingHole, extents };
}

/** The contents of a device, no two blocks of all devices alike. */
export function deviceContent(device: number, blocks: number = DEVICE_BLOCKS): Uint8Array {
  const bytes = new Uint8Array(blocks * BLOCK);
  for (let block = 0; block < blocks; block += 1) {
    const seed = createHash("sha256").update(`${device}:${block}`).digest();
    for (let at = 0; at < BLOCK; at += seed.length) bytes.set(seed, block * BLOCK + at);
  }
  return bytes;
}

/** Describes a tree as it was given. */
export function describeTree(root: ErofsDirectory, devices: readonly Uint8Array[]): Descriptions {
  const found: Descriptions = {};
  const links = countLinks(root);
  const first = new Map<ErofsNode, string>();
  const visit = (path: string, node: ErofsNode): void => {
    if (!first.has(node)) first.set(node, path);
    found[path] = {
      type: node.type,
      mode: node.mode,
      owner: `${node.uid}:${node.gid}`,
      mtime: `${BigInt(node.mtime.seconds) * 1_000_000_000n + BigInt(node.mtime.nanoseconds)}`,
      nlink: links.get(node) ?? 0,
      xattrs: hexOf(node.xattrs ?? new Map()),
      sameAs: first.get(node) ?? path,
      content: contentOf(node, devices),
    };
    if (node.type !== "dir") return;
    for (const name of sortedNames(node.children.keys())) {
      const child = node.children.get(name);
      if (child !== undefined) visit(`${path}/${name}`, child);
    }
  };
  visit("", root);
  return found;
}

function countLinks(root: ErofsDirectory): Map<ErofsNode, number> {
  const links = new Map<ErofsNode, number>();
  const visit = (directory: ErofsDirectory): void => {
    const children = [...directory.children.values()];
    links.set(directory, 2 + children.filter(({ type }) => type === "dir").length);
    for (const child of children) {
      if (child.type === "dir") visit(child);
      else links.set(child, (links.get(child) ?? 0) + 1);
    }
  };
  visit(root);
  return links;
}

function contentOf(node: ErofsNode, devices: readonly Uint8Array[]): string {
  if (node.type === "symlink") return node.target;
  if (node.type === "char" || node.type === "block") return `${node.major}:${node.minor}`;
  if (node.type !== "reg") return "";
  const bytes = new Uint8Array(node.size);
  for (const { fileOffset, size, device, deviceOffset } of node.extents) {
    // The rest of a last block is what the device has there.
    const end = Math.min(node.size - fileOffset, Math.ceil(size / BLOCK) * BLOCK);
    bytes.set(devices[device]?.subarray(deviceOffset, deviceOffset + end) ?? [], fileOffset);
  }
  return fileContent(bytes);
}

/** Describes what a reader finds in an image. */
export function describeImage(reader: ErofsReader, devices: readonly Uint8Array[]): Descriptions {
  const found: Descriptions = {};
  const first = new Map<number, string>();
  for (const { path: name, nid } of walkErofs(reader)) {
    const path = name === "" ? "" : `/${name}`;
    const inode = reader.getInode(nid);
    found[path] = {
      type: inode.type,
      mode: inode.mode,
      owner: `${inode.uid}:${inode.gid}`,
      mtime: `${BigInt(inode.mtime.seconds) * 1_000_000_000n + BigInt(inode.mtime.nanoseconds)}`,
      nlink: inode.nlink,
      xattrs: hexOf(reader.xattrs(nid)),
      sameAs: "",
      content: imageContent(reader, nid, devices),
    };
    if (!first.has(nid)) first.set(nid, path);
  }
  return withFirstNames(found, (path) => `${reader.findPath(path) ?? -1}`);
}

function imageContent(reader: ErofsReader, nid: number, devices: readonly Uint8Array[]): string {
  const inode = reader.getInode(nid);
  if (inode.type === "symlink") return reader.readlink(nid);
  if (inode.type === "char" || inode.type === "block") return `${inode.major}:${inode.minor}`;
  if (inode.type !== "reg") return "";
  const bytes = new Uint8Array(inode.size);
  for (const run of reader.runs(nid)) {
    if (run.kind !== "device") continue;
    bytes.set(
      devices[run.device]?.subarray(run.deviceOffset, run.deviceOffset + run.size) ?? [],
      run.fileOffset,
    );
  }
  return fileContent(bytes);
}

/** Fills in `sameAs`, given something that two names have in common only if they are one inode. */
export function withFirstNames(found: Descriptions, inodeOf: (path: string) => string): Descriptions {
  const first = new Map<string, string>();
  const paths = Object.keys(found).sort((a, b) => depthFirst(a, b));
  const result: Descriptions = {};
  for (const path of paths) {
    const inode = inodeOf(path);
    if (!first.has(inode)) first.set(inode, path);
    const description = found[path];
    if (description !== undefined) result[path] = { ...description, sameAs: first.get(inode) ?? path };
  }
  return result;
}

/** The order of a walk that visits each directory's names in byte order. */
function depthFirst(a: string, b: string): number {
  const left = a.split("/");
  const right = b.split("/");
  for (let i = 0; i < Math.min(left.length, right.length); i += 1) {
    const order = Buffer.compare(encodePathText(left[i] ?? ""), encodePathText(right[i] ?? ""));
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

/** Names in the order of their bytes. */
export function sortedNames(names: Iterable<string>): string[] {
  return [...names].sort((a, b) => Buffer.compare(encodePathText(a), encodePathText(b)));
}

/** Extended attributes for comparing. */
export function hexOf(entries: ReadonlyMap<string, Uint8Array>): Record<string, string> {
  return Object.fromEntries(
    [...entries].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => [name, encodeHex(value)]),
  );
}

/** The content of a file for comparing. */
export function fileContent(bytes: Uint8Array): string {
  return `${bytes.length} ${createHash("sha256").update(bytes).digest("hex")}`;
}
