/**
 * For tests: a BuildKit of its own with the daemon as its snapshotter.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { until } from "../kernel/daemon-setup.ts";
import { endChild } from "../kernel/end-child.ts";
import type { LazyNode } from "./lazy-node.ts";

const run = promisify(execFile);

/** Where snapshots are. */
export type BuildWorker = "oci" | "containerd";

/** A BuildKit that runs. */
export class BuildKit {
  readonly #programs: string;
  readonly #socket: string;
  readonly #log: string;
  #child: ChildProcess | undefined;

  private constructor(programs: string, base: string) {
    this.#programs = programs;
    this.#socket = join(base, "buildkitd.sock");
    this.#log = join(base, "buildkitd.log");
  }

  /** Starts the programs of a directory over a node; they end with the test, before the node does. */
  static async start(options: {
    readonly programs: string;
    readonly node: LazyNode;
    readonly worker: BuildWorker;
  }): Promise<BuildKit> {
    const { node, programs, worker } = options;
    const kit = new BuildKit(programs, node.base);
    const root = join(node.base, "buildkit");
    node.beforeEnd(async () => await endChild(kit.#child));
    const flags = ["--root", root, "--addr", `unix://${kit.#socket}`, "--debug"];
    const oci = [
      "--oci-worker-snapshotter=stargz",
      `--oci-worker-proxy-snapshotter-path=${node.plugin}`,
      "--oci-worker-net=host",
      "--containerd-worker=false",
    ];
    const containerd = [
      "--oci-worker=false",
      "--containerd-worker=true",
      `--containerd-worker-addr=${node.socket}`,
      "--containerd-worker-snapshotter=stargz",
      "--containerd-worker-net=host",
    ];
    const log = openSync(kit.#log, "a");
    kit.#child = spawn(join(programs, "buildkitd"), [...flags, ...(worker === "oci" ? oci : containerd)], {
      stdio: ["ignore", log, log],
      env: { ...process.env, HOME: node.base, TMPDIR: node.base },
    });
    closeSync(log);
    await until(() => kit.#ctl(["debug", "workers"]).then(Boolean, () => false), "BuildKit's start");
    return kit;
  }

  /** Builds a Dockerfile; resolves with the progress, as plain text. */
  async build(
    folder: string,
    options: { readonly files: Readonly<Record<string, string>>; readonly output: string },
  ): Promise<string> {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    for (const [name, text] of Object.entries(options.files)) await writeFile(join(folder, name), text);
    const place = ["--local", `context=${folder}`, "--local", `dockerfile=${folder}`];
    const flags = ["build", "--frontend", "dockerfile.v0", "--progress", "plain", ...place];
    return await this.#ctl([...flags, "--output", options.output]);
  }

  async #ctl(words: readonly string[]): Promise<string> {
    const program = join(this.#programs, "buildctl");
    const { stdout, stderr } = await run(program, ["--addr", `unix://${this.#socket}`, ...words], {
      maxBuffer: 64 << 20,
    });
    return stdout + stderr;
  }
}
