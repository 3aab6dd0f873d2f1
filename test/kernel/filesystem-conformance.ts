/**
 * What any mounted read-only filesystem must do, as a map from name to check: run it against every implementation.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { constants } from "node:fs";
import {
  access,
  lstat,
  mkdir,
  open,
  opendir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  statfs,
  symlink,
  truncate,
  unlink,
  utimes,
  writeFile,
  chmod,
  link,
} from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

/** What the mount holds, told from outside. Paths are relative to its root. */
export interface ConformanceTree {
  readonly file: { readonly path: string; readonly content: Uint8Array; readonly mtimeNs: bigint };
  /** Of more than a few MiB. */
  readonly bigFile: {
    readonly path: string;
    readonly size: number;
    readonly content: (offset: number, size: number) => Uint8Array;
  };
  readonly emptyFile: string;
  /** To `file`, relative. */
  readonly symlink: { readonly path: string; readonly target: string };
  readonly directory: { readonly path: string; readonly names: readonly string[] };
  readonly xattr: { readonly path: string; readonly name: string; readonly value: string };
  /** 1:3. */
  readonly device: string;
  readonly fifo: string;
}

/** One check of a mounted tree. */
export type ConformanceCheck = (root: string, tree: ConformanceTree) => Promise<void>;

/** The checks. */
export const CONFORMANCE: Readonly<Record<string, ConformanceCheck>> = {
  "a file has its content": async (root, { file }) => {
    assert.deepEqual(Uint8Array.from(await readFile(join(root, file.path))), file.content);
  },
  "a file has its size, type and times": async (root, { file }) => {
    const stat = await lstat(join(root, file.path), { bigint: true });
    assert.equal(stat.size, BigInt(file.content.length));
    assert.ok(stat.isFile());
    assert.equal(stat.mtimeNs, file.mtimeNs);
  },
  "reads behind the end give nothing": async (root, { file, emptyFile }) => {
    await using handle = await open(join(root, file.path));
    const buffer = Buffer.alloc(10);
    assert.equal((await handle.read(buffer, 0, 10, file.content.length)).bytesRead, 0);
    assert.equal((await handle.read(buffer, 0, 10, 2 ** 40)).bytesRead, 0);
    assert.equal((await readFile(join(root, emptyFile))).length, 0);
  },
  "reads across any bounds give the bytes that belong there": async (root, { bigFile }) => {
    await using handle = await open(join(root, bigFile.path));
    const places = [
      [0, 1],
      [4095, 2],
      [1_048_575, 3],
      [131_071, 131_074],
      [bigFile.size - 10, 100],
      [3_000_001, 2_097_153],
    ] as const;
    for (const [offset, size] of places) {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(size), 0, size, offset);
      const wanted = bigFile.content(offset, Math.min(size, bigFile.size - offset));
      assert.equal(bytesRead, wanted.length);
      assert.ok(buffer.subarray(0, bytesRead).equals(wanted), `${size} bytes at ${offset}`);
    }
  },
  "a big file read in one go is right": async (root, { bigFile }) => {
    let offset = 0;
    await using handle = await open(join(root, bigFile.path));
    for await (const chunk of handle.createReadStream({ highWaterMark: 777_777 }) as AsyncIterable<Buffer>) {
      assert.ok(chunk.equals(bigFile.content(offset, chunk.length)), `at ${offset}`);
      offset += chunk.length;
    }
    assert.equal(offset, bigFile.size);
  },
  "many readers at once all read right": async (root, { bigFile }) => {
    await using handle = await open(join(root, bigFile.path));
    const readers = Array.from({ length: 16 }, async (_, index) => {
      const [offset, size] = [index * 1_234_567, 65_537];
      const { buffer } = await handle.read(Buffer.alloc(size), 0, size, offset);
      assert.ok(buffer.equals(bigFile.content(offset, size)));
    });
    await Promise.all(readers);
  },
  "a file can be mapped": async (root, { bigFile }) => {
    const program =
      "import mmap,sys\nf=open(sys.argv[1],'rb')\nm=mmap.mmap(f.fileno(),0,prot=mmap.PROT_READ)\nsys.stdout.buffer.write(m[5000:5016])";
    const { stdout } = await promisify(execFile)("python3", ["-c", program, join(root, bigFile.path)], {
      encoding: "buffer",
    });
    assert.ok(stdout.equals(bigFile.content(5000, 16)));
  },
  "a symbolic link has its target and leads there": async (root, { symlink: link, file }) => {
    assert.equal(await readlink(join(root, link.path)), link.target);
    assert.ok((await lstat(join(root, link.path))).isSymbolicLink());
    assert.deepEqual(Uint8Array.from(await readFile(join(root, link.path))), file.content);
  },
  "a directory lists each of its names once": async (root, { directory }) => {
    const names = await readdir(join(root, directory.path));
    assert.equal(names.length, directory.names.length);
    assert.deepEqual(new Set(names), new Set(directory.names));
  },
  "a directory lists types": async (root, tree) => {
    const types = new Map<string, string>();
    for await (const entry of await opendir(root)) {
      types.set(
        entry.name,
        entry.isDirectory() ? "dir" : entry.isSymbolicLink() ? "link" : entry.isFile() ? "file" : "other",
      );
    }
    assert.equal(types.get(tree.file.path), "file");
    assert.equal(types.get(tree.symlink.path), "link");
    assert.equal(types.get(tree.device), "other");
  },
  "every listed name can be looked up": async (root, { directory }) => {
    for (const name of directory.names.slice(0, 500)) await lstat(join(root, directory.path, name));
  },
  "a name that is not there is ENOENT, also below a file that is no directory": async (root, { file }) => {
    await assert.rejects(lstat(join(root, "no such name")), { code: "ENOENT" });
    await assert.rejects(lstat(join(root, "no such name")), { code: "ENOENT" });
    await assert.rejects(lstat(join(root, file.path, "below")), { code: "ENOTDIR" });
    await assert.rejects(lstat(join(root, "n".repeat(256))), { code: "ENAMETOOLONG" });
  },
  "devices and fifos are what they are": async (root, { device, fifo }) => {
    const stat = await lstat(join(root, device));
    assert.ok(stat.isCharacterDevice());
    assert.equal(stat.rdev, 0x103);
    assert.ok((await lstat(join(root, fifo))).isFIFO());
  },
  "extended attributes are listed and read": async (root, { xattr }) => {
    const run = promisify(execFile);
    const { stdout } = await run("getfattr", ["--absolute-names", "-d", "-m", "-", join(root, xattr.path)]);
    assert.ok(stdout.includes(`${xattr.name}="${xattr.value}"`), stdout);
    await assert.rejects(run("getfattr", ["-n", "user.absent", join(root, xattr.path)]), /No such attribute/);
  },
  "nothing can be changed": async (root, { file, symlink: link_, directory }) => {
    const place = join(root, file.path);
    const changes: Readonly<Record<string, () => Promise<unknown>>> = {
      create: () => writeFile(join(root, "new"), ""),
      write: () => open(place, "r+"),
      truncate: () => truncate(place, 0),
      chmod: () => chmod(place, 0o777),
      utimes: () => utimes(place, 0, 0),
      unlink: () => unlink(place),
      rmdir: () => rm(join(root, directory.path), { recursive: true }),
      mkdir: () => mkdir(join(root, "newdir")),
      rename: () => rename(place, join(root, "renamed")),
      symlink: () => symlink("x", join(root, "newlink")),
      link: () => link(place, join(root, "hardlink")),
      unlinkLink: () => unlink(join(root, link_.path)),
    };
    for (const [name, change] of Object.entries(changes)) {
      await assert.rejects(change(), { code: "EROFS" }, name);
    }
    await assert.rejects(access(place, constants.W_OK), { code: "EROFS" });
  },
  "statfs answers": async (root) => {
    const { bsize } = await statfs(root);
    assert.ok(bsize > 0);
  },
  "opening a directory as a file and a file as a directory fails": async (root, { file, directory }) => {
    await assert.rejects(readFile(join(root, directory.path)), { code: "EISDIR" });
    await assert.rejects(readdir(join(root, file.path)), { code: "ENOTDIR" });
  },
};
