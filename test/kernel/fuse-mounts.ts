/**
 * Mounts for tests: made where the machine allows it, and gone afterwards whatever happens.
 */
import { constants, accessSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import {
  mountFuse,
  serveFuse,
  type FuseMount,
  type FuseServer,
  type ServeFuseOptions,
} from "../../src/fuse/index.ts";
import type { SampleOptions } from "./sample-filesystem.ts";

/** The module of the sample filesystem. */
export const SAMPLE: URL = new URL("sample-filesystem.ts", import.meta.url);

/** Says why FUSE cannot be used here by root, or undefined. */
export function missingFuse(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  try {
    accessSync("/dev/fuse", constants.R_OK | constants.W_OK);
    return undefined;
  } catch {
    return "needs /dev/fuse";
  }
}

/** Whether the kernel is at least this version. */
export function hasKernel(major: number, minor: number): boolean {
  const [ours = 0, oursMinor = 0] = release().split(".").map(Number);
  return ours > major || (ours === major && oursMinor >= minor);
}

/** A directory that is removed when the test ends. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "esgz-fuse-"));
  t.after(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }));
  return directory;
}

/** A mount that goes when the test ends. */
export async function mountForTest(
  t: TestContext,
  options: Parameters<typeof mountFuse>[1] = {},
): Promise<FuseMount> {
  const directory = await mkdtemp(join(tmpdir(), "esgz-fuse-"));
  const mount = await mountFuse(directory, { subtype: "esgz-test", ...options });
  t.after(async () => {
    await mount[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });
  return mount;
}

/** A mount of the sample filesystem, served until the test ends. */
export async function serveSample(
  t: TestContext,
  options: { readonly sample?: SampleOptions } & Partial<ServeFuseOptions> = {},
): Promise<{ readonly mount: FuseMount; readonly server: FuseServer }> {
  const mount = await mountForTest(t);
  const { sample = {}, ...rest } = options;
  const server = await serveFuse(mount.fd, { filesystem: SAMPLE, data: sample, ...rest });
  t.after(() => server.close());
  return { mount, server };
}
