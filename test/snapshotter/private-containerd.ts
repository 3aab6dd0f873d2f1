/**
 * A containerd of its own, with root, state and sockets in a folder.
 */
import { execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, watch } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A containerd that is running. */
export interface PrivateContainerd {
  readonly folder: string;
  readonly socket: string;
  /** Runs `ctr`; resolves with what it prints. */
  readonly ctr: (...args: string[]) => Promise<string>;
}

/** Whether a program is there. */
export async function isInstalled(tool: string): Promise<boolean> {
  return await run("sh", ["-c", `command -v ${tool}`]).then(
    () => true,
    () => false,
  );
}

/** Why containerd cannot be started here; undefined if it can. */
export async function whyNoContainerd(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "containerd needs root";
  for (const tool of ["containerd", "ctr"]) if (!(await isInstalled(tool))) return `${tool} is not installed`;
  return undefined;
}

/** An id of its own: control groups are named after containers, for every containerd of the machine. */
export function containerId(): string {
  return `c${randomUUID()}`;
}

/** What to start. */
export interface ContainerdOptions {
  /** Lines of its configuration. */
  readonly plugins?: readonly string[];
  /** With the plugin that serves the kubelet. */
  readonly cri?: boolean;
  /** Called when containerd has ended, before its folder goes. */
  readonly onEnd?: () => Promise<void>;
}

/** Starts containerd; it ends with the test, and its folder goes. */
export async function startContainerd(
  t: TestContext,
  options: ContainerdOptions = {},
): Promise<PrivateContainerd> {
  const folder = await mkdtemp(join(tmpdir(), "esgz-containerd-"));
  const socket = join(folder, "containerd.sock");
  await mkdir(join(folder, "state"));
  const lines = [
    "version = 2",
    `root = "${join(folder, "root")}"`,
    `state = "${join(folder, "state")}"`,
    `disabled_plugins = [${options.cri === true ? "" : '"io.containerd.grpc.v1.cri"'}]`,
    `[grpc]\n  address = "${socket}"`,
    `[ttrpc]\n  address = "${socket}.ttrpc"`,
    ...(options.plugins ?? []),
  ];
  await writeFile(join(folder, "config.toml"), `${lines.join("\n")}\n`);
  const appeared = whenExists(folder, "containerd.sock");
  const child = spawn("containerd", ["-c", join(folder, "config.toml"), "-l", "error"], { stdio: "ignore" });
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  t.after(async () => {
    child.kill();
    await gone;
    await options.onEnd?.();
    // Shims of containers that have ended end a moment after them, and write until then.
    await rm(folder, { recursive: true, maxRetries: 10 });
  });
  await Promise.race([
    appeared,
    gone.then(() => Promise.reject(new Error("containerd ended while it started"))),
  ]);
  const ctr = async (...args: string[]): Promise<string> =>
    (await run("ctr", ["--address", socket, ...args], { maxBuffer: 64 << 20 })).stdout;
  return { folder, socket, ctr };
}

async function whenExists(folder: string, name: string): Promise<void> {
  await new Promise<void>((resolve) => {
    const watcher = watch(folder, () => {
      if (!existsSync(join(folder, name))) return;
      watcher.close();
      resolve();
    });
  });
}
