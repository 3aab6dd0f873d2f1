/**
 * For tests: images of which nothing but the metadata is here, and what foresight brings of them.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { systemClock } from "../async/index.ts";
import type { FileSpec } from "../tar/make-tar.fixture.ts";
import {
  type FaultyRegistry,
  type FetchBench,
  fetchSampleOf,
  openFetchBench,
  serveFaulty,
} from "./fetch.fixture.ts";
import { foreseeProgram, type ForeseeOptions } from "./foresee-program.ts";
import type { ForeseeReport } from "./foreseen-files.ts";
import { ImageFiles } from "./image-files.ts";
import { makeElf } from "./make-elf.fixture.ts";
import { mergeLayerMetas } from "./merge-layer-metas.ts";

/** Of the layers' chunks, in bytes. */
export const CHUNK: number = 64 << 10;
const LOADER = "/lib64/ld-linux-x86-64.so.2";
/** Where distributions have libraries. */
export const LIBRARIES = "usr/lib/x86_64-linux-gnu";
/** A process' variables. */
export const ENV: readonly string[] = ["PATH=/usr/local/bin:/usr/bin"];

/** A symlink. */
export const link = (name: string, linkName: string): FileSpec => ({ name, type: "symlink", linkName });
/** A library. */
export const elf = (name: string, plan: Parameters<typeof makeElf>[0] = {}): FileSpec => ({
  name,
  content: makeElf(plan),
});
/** A program. */
export const program = (name: string, plan: Parameters<typeof makeElf>[0] = {}): FileSpec =>
  elf(name, { interpreter: LOADER, ...plan });

/** As distributions have it: one tree below /usr. */
export const BASE: readonly FileSpec[] = [
  link("bin", "usr/bin"),
  link("lib", "usr/lib"),
  link("lib64", "usr/lib64"),
  { name: "etc/passwd", content: "root:x:0:0::/:/bin/sh\n" },
  { name: "etc/hosts", content: "nobody asks for this\n" },
  elf("usr/lib64/ld-linux-x86-64.so.2"),
  elf(`${LIBRARIES}/libc.so.6`),
  elf(`${LIBRARIES}/libm.so.6`, { needed: ["libc.so.6"] }),
  program("usr/bin/env", { needed: ["libc.so.6"] }),
  program("usr/bin/other", { needed: ["libc.so.6"] }),
];
/** What of it a program needs that is linked with its C library. */
export const BASE_FILES: readonly string[] = [
  "/etc/passwd",
  `/${LIBRARIES}/libc.so.6`,
  "/usr/lib64/ld-linux-x86-64.so.2",
];

/** An image that is not here. */
export interface ForeseeBench extends FetchBench {
  readonly registry: FaultyRegistry;
  readonly files: ImageFiles;
  /** Paths of files that are wholly there, in order. */
  readonly present: () => readonly string[];
  readonly foresee: (
    options: Partial<ForeseeOptions> & Pick<ForeseeOptions, "command">,
  ) => Promise<ForeseeReport>;
}

/** An image of these layers in a registry, of which nothing but the metadata is here. */
export async function openForeseeBench(
  t: TestContext,
  layers: readonly (readonly FileSpec[])[],
): Promise<ForeseeBench> {
  const samples = await Promise.all(layers.map((layer) => fetchSampleOf(layer, { chunkSize: CHUNK })));
  const registry = await serveFaulty(t, samples);
  const bench = await openFetchBench(t, samples, { registry, tuning: { demandDeadlineMs: 500 } });
  const compiled = samples.map((sample) => sample.compiled);
  const meta = mergeLayerMetas(
    compiled.map((each) => each.meta),
    compiled.map(({ dataSize }) => dataSize),
  );
  const files = new ImageFiles([{ meta, layers: bench.layers }]);
  const paths = layers.flatMap((layer) =>
    layer.flatMap(({ name, type, content = "" }) =>
      type === undefined && content.length > 0 ? [`/${name}`] : [],
    ),
  );
  const isPresent = (path: string): boolean => {
    const file = files.find(path);
    assert.ok(file?.path === path, path);
    return Array.from(files.runs(file, { offset: 0, size: file.size })).every(({ layer, range }) =>
      layer.isFilled(range),
    );
  };
  const { fetcher } = bench;
  return {
    ...bench,
    registry,
    files,
    present: () => paths.filter(isPresent).toSorted(),
    foresee: async (options) =>
      await foreseeProgram({ files, fetcher, clock: systemClock, env: ENV, ...options }),
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}
