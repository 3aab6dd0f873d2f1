/**
 * `node bench/erofs-compile.ts [--runs N]`: how long trees of 100,000 files take to compile, and to be read again.
 *
 * Each run is a new process, as it is when an image is mounted: the code is not warm. The tree is there already.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import {
  compileErofs,
  DevicePlan,
  ErofsReader,
  walkErofs,
  type ErofsDirectory,
  type ErofsNode,
} from "../src/erofs/index.ts";

const FILES = 100_000;
const ATTRIBUTES = {
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: { seconds: 1_700_000_000, nanoseconds: 123_456_789 },
};

interface Shape {
  readonly filesInDirectory: number;
  readonly xattrs: (index: number) => ReadonlyMap<string, Uint8Array>;
}

const NONE: ReadonlyMap<string, Uint8Array> = new Map();
const SHAPES: Readonly<Record<string, Shape>> = {
  "100 files a directory": { filesInDirectory: 100, xattrs: () => NONE },
  "one directory": { filesInDirectory: FILES, xattrs: () => NONE },
  "10 files a directory, equal xattrs": {
    filesInDirectory: 10,
    xattrs: () => new Map([["security.selinux", new Uint8Array(30).fill(0x61)]]),
  },
  "100 files a directory, other xattrs for each": {
    filesInDirectory: 100,
    xattrs: (index) =>
      new Map([["user.digest", new TextEncoder().encode(`sha256:${index}`.padEnd(71, "0"))]]),
  },
};

interface Times {
  readonly compileMs: number;
  /** Of all threads. On a busy machine it says more than the time on the wall. */
  readonly compileCpuMs: number;
  readonly walkMs: number;
  readonly imageBytes: number;
}

const { values } = parseArgs({
  options: { runs: { type: "string", default: "7" }, once: { type: "string" } },
});
if (values.once === undefined) runAll(Number(values.runs));
else console.log(JSON.stringify(measure(values.once)));

function runAll(runs: number): void {
  for (const shape of Object.keys(SHAPES)) {
    const times = Array.from({ length: runs }, () => runOnce(shape));
    const compileMs = median(times.map((time) => time.compileMs)).toFixed(0);
    const cpuMs = median(times.map((time) => time.compileCpuMs)).toFixed(0);
    const walkMs = median(times.map((time) => time.walkMs)).toFixed(0);
    const mebibytes = ((times[0]?.imageBytes ?? 0) / 2 ** 20).toFixed(1);
    console.log(
      `${FILES} files, ${shape}: compiled in ${compileMs} ms (${cpuMs} ms of processor) to ${mebibytes} MiB, walked in ${walkMs} ms`,
    );
  }
}

function runOnce(shape: string): Times {
  return JSON.parse(
    execFileSync(process.execPath, [import.meta.filename, "--once", shape], { encoding: "utf8" }),
  ) as Times;
}

function measure(name: string): Times {
  const shape = SHAPES[name];
  if (shape === undefined) throw new Error(`no shape "${name}"`);
  const { tree, size } = makeTree(shape);
  const cpu = process.cpuUsage();
  const start = performance.now();
  const { bytes } = compileErofs(tree, { devices: [{ size }] });
  const compiled = performance.now();
  const { user, system } = process.cpuUsage(cpu);
  const reader = new ErofsReader(bytes);
  let seen = 0;
  for (const { nid } of walkErofs(reader)) seen += reader.getInode(nid).nlink > 0 ? 1 : 0;
  if (seen <= FILES) throw new Error(`walked ${seen} names`);
  return {
    compileMs: compiled - start,
    compileCpuMs: (user + system) / 1000,
    walkMs: performance.now() - compiled,
    imageBytes: bytes.length,
  };
}

function makeTree({ filesInDirectory, xattrs }: Shape): { tree: ErofsDirectory; size: number } {
  const plan = new DevicePlan();
  const top = new Map<string, ErofsNode>();
  let children = new Map<string, ErofsNode>();
  for (let index = 0; index < FILES; index += 1) {
    if (index % filesInDirectory === 0) {
      children = new Map();
      top.set(`directory-${index}`, { ...ATTRIBUTES, type: "dir", children });
    }
    const size = 1 + ((index * 7919) % 20_000);
    const extents = [{ fileOffset: 0, size, device: 0, deviceOffset: plan.place(size) }];
    children.set(`file-of-the-image-${index}.js`, {
      ...ATTRIBUTES,
      type: "reg",
      size,
      extents,
      xattrs: xattrs(index),
    });
  }
  return { tree: { ...ATTRIBUTES, type: "dir", children: top }, size: plan.size };
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
