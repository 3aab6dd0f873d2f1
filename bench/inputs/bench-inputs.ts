/**
 * What is measured: layers made from Debian packages, so that names, sizes and contents are those of real images.
 *
 * Trees are made once, in `bench/.cache`, and kept; delete the folder to make them anew.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

/** An input: one tar a layer, base first. */
export interface BenchInput {
  readonly name: string;
  /** Paths of the layers' tars. */
  readonly tars: readonly string[];
}

/** About 980 MB in 41,000 files: a language, its libraries, a virtual machine, a compiler, headers, sources. */
const FAT_PACKAGES = [
  "golang-1.19-src",
  "libboost1.74-dev",
  "openjdk-17-jdk-headless",
  "openjdk-17-jre-headless",
  "libpython3.11-stdlib",
  "python3.11-minimal",
  "python3-numpy",
  "python3-scipy",
  "python3-pandas",
  "libllvm14",
  "gcc-12",
  "g++-12",
  "cpp-12",
  "perl-modules-5.36",
  "python3-sympy",
  "python3-botocore",
] as const;

const SMALL_FILES = 100_000;
const HUGE_FILE_BYTES = 4 * 2 ** 30;
const MANY_LAYERS = 30;

/** The names of all inputs. */
export const BENCH_INPUTS = ["fat", "layers", "small-files", "huge-file"] as const;
/** The name of an input. */
export type BenchInputName = (typeof BENCH_INPUTS)[number];

/** Makes an input, or finds it made. */
export function ensureBenchInput(name: BenchInputName, cache: string): BenchInput {
  const directory = join(cache, "inputs", name);
  if (!existsSync(directory)) makeAtomically(directory, (into) => MAKERS[name](into, cache));
  const tars = readdirSync(directory)
    .toSorted()
    .map((file) => join(directory, file));
  return { name, tars };
}

const MAKERS: Readonly<Record<BenchInputName, (into: string, cache: string) => void>> = {
  fat: (into, cache) => {
    const tree = packageTree(cache);
    tar(tree, ["."], join(into, "00.tar"));
  },
  layers: (into, cache) => {
    const tree = packageTree(cache);
    for (const [index, files] of splitFiles(tree, MANY_LAYERS).entries()) {
      tarList(tree, files, join(into, `${String(index).padStart(2, "0")}.tar`));
    }
  },
  "small-files": (into) => {
    const tree = join(into, "tree");
    makeSmallFiles(tree);
    tar(tree, ["."], join(into, "00.tar"));
    rmSync(tree, { recursive: true });
  },
  "huge-file": (into) => {
    const tree = join(into, "tree");
    mkdirSync(tree);
    makeHugeFile(join(tree, "model.bin"));
    tar(tree, ["."], join(into, "00.tar"));
    rmSync(tree, { recursive: true });
  },
};

function makeAtomically(path: string, make: (into: string) => void): void {
  const partial = `${path}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  make(partial);
  renameSync(partial, path);
}

function packageTree(cache: string): string {
  const tree = join(cache, "tree");
  if (existsSync(tree)) return tree;
  makeAtomically(tree, (into) => {
    const debs = join(cache, "debs");
    mkdirSync(debs, { recursive: true });
    execFileSync("apt-get", ["download", "-qq", ...FAT_PACKAGES], {
      cwd: debs,
      stdio: ["ignore", "ignore", "inherit"],
    });
    for (const deb of readdirSync(debs)) execFileSync("dpkg-deb", ["-x", join(debs, deb), into]);
  });
  return tree;
}

function tar(tree: string, members: readonly string[], output: string): void {
  execFileSync("tar", ["-C", tree, ...TAR_FLAGS, "-cf", output, ...members]);
}

const TAR_FLAGS = [
  "--sort=name",
  "--owner=0",
  "--group=0",
  "--numeric-owner",
  "--format=pax",
  "--mtime=@1700000000",
];

function tarList(tree: string, files: readonly string[], output: string): void {
  const args = ["-C", tree, ...TAR_FLAGS, "--no-recursion", "--null", "-T", "-", "-cf", output];
  execFileSync("tar", args, { input: `${files.join("\0")}\0` });
}

/** All paths of a tree in `count` parts of about the same number of files, in order. */
function splitFiles(tree: string, count: number): string[][] {
  const listed = execFileSync("find", [tree, "-mindepth", "1", "-printf", "%P\\0"], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  const paths = listed.split("\0").slice(0, -1).toSorted();
  const size = Math.ceil(paths.length / count);
  return Array.from({ length: count }, (_, at) => paths.slice(at * size, (at + 1) * size));
}

function makeSmallFiles(tree: string): void {
  for (let at = 0; at < SMALL_FILES; at += 1) {
    const directory = join(tree, `d${Math.floor(at / 500)}`);
    if (at % 500 === 0) mkdirSync(directory, { recursive: true });
    const file = openSync(join(directory, `file-${at}.json`), "w");
    const digest = createHash("sha256").update(String(at)).digest("hex");
    writeSync(file, JSON.stringify({ id: at, digest, text: digest.repeat(1 + (at % 24)) }));
    closeSync(file);
  }
}

/** Half noise, half text: about what a model with its tables is to a compressor. */
function makeHugeFile(path: string): void {
  const file = openSync(path, "w");
  const block = new Uint8Array(1 << 20);
  let state = 1;
  for (let written = 0; written < HUGE_FILE_BYTES; written += block.length) {
    for (let at = 0; at < block.length; at += 1) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      block[at] = at % 2 === 0 ? state >>> 24 : 0x20 + ((written >>> 20) % 64);
    }
    writeSync(file, block);
  }
  closeSync(file);
}
