/**
 * For tests: an image that runs, with files of known contents, in any registry.
 */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
  estargzOf,
  type LayerBlob,
  plainOf,
  pushImage as pushLayers,
  sha256,
} from "../../src/lazyfs/image.fixture.ts";
import type { RegistryClient } from "../../src/registry/index.ts";
import { type FileSpec, tarOf } from "../../src/tar/make-tar.fixture.ts";

/** A layer to make. */
export interface LayerPlan {
  readonly files: readonly FileSpec[];
  /** An ordinary layer. */
  readonly plain?: boolean;
}

const TOOLS = ["sh", "cat", "ls", "sleep", "touch", "sha256sum", "md5sum", "test", "echo", "mkdir"];

/** The files of a layer with busybox. */
export async function busyboxFiles(): Promise<readonly FileSpec[]> {
  const directories = ["bin/", "proc/", "sys/", "dev/", "tmp/", "etc/", "data/"].map((name) => ({ name }));
  const links = TOOLS.map((tool) => ({ name: `bin/${tool}`, type: "symlink" as const, linkName: "busybox" }));
  const content = await readFile("/bin/busybox");
  return [...directories, { name: "bin/busybox", mode: 0o755, content }, ...links];
}

/** Files of random bytes below `/data`. */
export function dataFiles(
  prefix: string,
  { count, size }: { readonly count: number; readonly size: number },
): FileSpec[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `data/${prefix}${index}`,
    content: randomBytes(size),
  }));
}

/** What `sha256sum` prints of the files below `/data` of these layers. */
export function sumsOf(plans: readonly LayerPlan[]): string {
  const files = plans.flatMap((plan) => plan.files).filter(({ name }) => /^data\/./.test(name));
  const lines = files.map(({ name, content = "" }) => {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    return `${sha256(bytes).slice("sha256:".length)}  /${name}\n`;
  });
  return lines.toSorted((a, b) => (a.slice(66) < b.slice(66) ? -1 : 1)).join("");
}

/** Makes the blobs. */
export async function layersOf(plans: readonly LayerPlan[]): Promise<readonly LayerBlob[]> {
  return await Promise.all(
    plans.map(async ({ files, plain = false }) => {
      const tar = tarOf(files);
      return plain ? plainOf(tar) : await estargzOf(tar, { chunkSize: 64 << 10 });
    }),
  );
}

/** Pushes an image; resolves with its name. */
export async function pushImage(
  client: RegistryClient,
  {
    registry,
    repository,
    layers,
    command = ["/bin/sh"],
  }: {
    readonly registry: string;
    readonly repository: string;
    readonly layers: readonly LayerBlob[];
    readonly command?: readonly string[];
  },
): Promise<string> {
  await pushLayers(client.repository({ registry, repository }), {
    layers,
    tag: "1",
    platform: { os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch },
    run: { Env: ["PATH=/bin"], Cmd: command },
  });
  return `${registry}/${repository}:1`;
}
