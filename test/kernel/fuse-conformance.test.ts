/**
 * The sample filesystem through the kernel, by every way of answering.
 */
import { test } from "node:test";
import type { ServeFuseOptions } from "../../src/fuse/index.ts";
import { CONFORMANCE, type ConformanceTree } from "./filesystem-conformance.ts";
import { missingFuse, serveSample } from "./fuse-mounts.ts";
import { bigContent, BIG_SIZE, MANY, type SampleOptions } from "./sample-filesystem.ts";

const TREE: ConformanceTree = {
  file: {
    path: "hello",
    content: new TextEncoder().encode("hello, world\n"),
    mtimeNs: 1_700_000_000_123_456_789n,
  },
  bigFile: { path: "big", size: BIG_SIZE, content: bigContent },
  emptyFile: "empty",
  symlink: { path: "link", target: "hello" },
  directory: { path: "many", names: Array.from({ length: MANY }, (_, index) => `f${index}`) },
  xattr: { path: "hello", name: "user.note", value: "seen" },
  device: "null",
  fifo: "pipe",
};

interface Way extends Partial<ServeFuseOptions> {
  readonly sample?: SampleOptions;
}

const WAYS: Readonly<Record<string, Way>> = {
  "through the page cache": {},
  "by direct I/O": { sample: { directIo: true }, features: { directIoMmap: true } },
  "with lookups in listings": { sample: { plus: true }, features: { readdirplus: "always" } },
  "by three threads": { threads: 3 },
  "in small reads": { features: { maxRead: 4096, maxBackground: 1 } },
};

for (const [name, way] of Object.entries(WAYS)) {
  test(`a filesystem ${name}`, { timeout: 240_000 }, async (t) => {
    const reason = missingFuse();
    if (reason !== undefined) return t.skip(reason);
    const { mount } = await serveSample(t, way);
    for (const [check, run] of Object.entries(CONFORMANCE))
      await t.test(check, () => run(mount.target, TREE));
  });
}
