/**
 * For tests: a node of its own, containerd with esgz as its snapshotter, below one temporary directory; nothing of it is left
 * when the test ends, however it ends.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import { connectDaemon, type DaemonInfo } from "../../src/daemon/index.ts";
import { unmount } from "../../src/erofs-mount/index.ts";
import { systemCodeOf } from "../../src/errors/index.ts";
import { isRunning, mountsBelow, until } from "../kernel/daemon-setup.ts";
import { endChild } from "../kernel/end-child.ts";
import { containerId, isInstalled, whyNoContainerd } from "../snapshotter/private-containerd.ts";

const run = promisify(execFile);
const PROGRAM = resolve(import.meta.dirname, "../../bin/esgz.js");
const ALIAS = resolve(import.meta.dirname, "../../bin/containerd-stargz-grpc.js");

/** How to set up a node. */
export interface NodeOptions {
  /** The daemon's configuration file, perhaps by the node's directory; an empty one if absent. */
  readonly config?: string | ((base: string) => string);
  /** Started as `containerd-stargz-grpc`. */
  readonly alias?: boolean;
  /** Variables of the daemon's environment. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Lines of containerd's configuration; absent: it has no CRI plugin. */
  readonly cri?: string;
  /** Directory with containerd, ctr and shim in place of those of the machine. */
  readonly containerd?: string;
  /** Without any containerd: whoever removes what it does not know has a snapshotter for itself. */
  readonly bare?: boolean;
}

/** Why there can be no node here; undefined if there can. */
export async function whyNoNode(tools: readonly string[]): Promise<string | undefined> {
  const reason = await whyNoContainerd();
  if (reason !== undefined) return reason;
  for (const tool of ["busybox", "runc", ...tools])
    if (!(await isInstalled(tool))) return `${tool} is not installed`;
  return undefined;
}

/** containerd and esgz. */
export class LazyNode {
  readonly base: string;
  readonly store: string;
  /** Of containerd. */
  readonly socket: string;
  /** Of the snapshotter. */
  readonly plugin: string;
  readonly #options: NodeOptions;
  readonly #before: (() => Promise<void>)[] = [];
  #containerd: ChildProcess | undefined;

  private constructor(base: string, options: NodeOptions) {
    this.base = base;
    this.store = join(base, "store");
    this.socket = join(base, "containerd.sock");
    this.plugin = join(base, "run", "snapshots.sock");
    this.#options = options;
  }

  /** Starts both; they end with the test. */
  static async start(t: TestContext, options: NodeOptions = {}): Promise<LazyNode> {
    const base = await mkdtemp(join(tmpdir(), "esgz-node-"));
    const node = new LazyNode(base, options);
    t.after(() => node.#end());
    await mkdir(join(base, "state"));
    const { config = "" } = options;
    await writeFile(join(base, "esgz.toml"), typeof config === "string" ? config : config(base));
    await node.startDaemon();
    if (options.bare !== true) await node.startContainerd();
    return node;
  }

  /** Has something end before containerd and the daemon do. */
  beforeEnd(work: () => Promise<void>): void {
    this.#before.push(work);
  }

  /** Starts the daemon and waits until it serves. */
  async startDaemon(): Promise<void> {
    const { alias = false, variables = {} } = this.#options;
    const flags = ["--address", this.plugin, "--root", this.store, "--config", join(this.base, "esgz.toml")];
    const program = alias
      ? [ALIAS, ...flags.map((flag) => flag.replace(/^--/, "-"))]
      : [PROGRAM, "daemon", ...flags];
    const log = openSync(join(this.base, "esgz.log"), "a");
    const env = { ...process.env, HOME: this.base, ...variables };
    const child = spawn(process.execPath, program, { stdio: ["ignore", log, log], env });
    child.unref();
    closeSync(log);
    await until(() => this.info().then(Boolean, () => false), "the daemon's start");
  }

  /** Ends the daemon in order, whichever processes it is by now. */
  async stopDaemon(): Promise<void> {
    const info = await this.info().catch(() => undefined);
    if (info === undefined) return;
    process.kill(info.holderPid, "SIGTERM");
    await until(() => !isRunning(info.holderPid) && !isRunning(info.pid), "the daemon's end");
  }

  /**
   * Kills the process that keeps sockets and mounts, and waits for its successor; with `server`, all, and starts anew after
   * something was done `meanwhile`.
   */
  async killHolder({
    server,
    meanwhile,
  }: {
    readonly server: boolean;
    readonly meanwhile?: () => Promise<void>;
  }): Promise<void> {
    const { holderPid, pid } = await this.info();
    // The server would start a successor at once.
    if (server) process.kill(pid, "SIGSTOP");
    process.kill(holderPid, "SIGKILL");
    if (server) {
      process.kill(pid, "SIGKILL");
      await until(() => !isRunning(holderPid) && !isRunning(pid), "the daemon's death");
      await meanwhile?.();
      await this.startDaemon();
      return;
    }
    const isNew = (info: DaemonInfo): boolean => info.holderPid !== holderPid;
    await until(() => this.info().then(isNew, () => false), "a successor");
  }

  /** Starts containerd and waits until it answers. */
  async startContainerd(): Promise<void> {
    const { cri, containerd: directory } = this.#options;
    const lines = [
      "version = 2",
      `root = "${join(this.base, "root")}"`,
      `state = "${join(this.base, "state")}"`,
      cri === undefined ? 'disabled_plugins = ["io.containerd.grpc.v1.cri"]' : "",
      `[grpc]\n  address = "${this.socket}"`,
      `[ttrpc]\n  address = "${this.socket}.ttrpc"`,
      `[proxy_plugins.stargz]\n  type = "snapshot"\n  address = "${this.plugin}"`,
      `[proxy_plugins.stargz.exports]\n  root = "${this.store}"\n  enable_remote_snapshot_annotations = "true"`,
      '[plugins."io.containerd.gc.v1.scheduler"]\n  schedule_delay = "0s"\n  startup_delay = "100ms"',
      cri ?? "",
    ];
    await writeFile(join(this.base, "config.toml"), `${lines.join("\n")}\n`);
    const program = directory === undefined ? "containerd" : join(directory, "containerd");
    const log = openSync(join(this.base, "containerd.log"), "a");
    const env =
      directory === undefined ? process.env : { ...process.env, PATH: `${directory}:${process.env["PATH"]}` };
    this.#containerd = spawn(program, ["-c", join(this.base, "config.toml")], {
      stdio: ["ignore", log, log],
      env,
    });
    closeSync(log);
    await until(() => this.ctr("version").then(Boolean, () => false), "containerd's start");
  }

  /** Ends containerd; containers go on. */
  async stopContainerd(): Promise<void> {
    await endChild(this.#containerd);
    this.#containerd = undefined;
  }

  /** What the daemon says of itself. */
  async info(): Promise<DaemonInfo> {
    await using client = await connectDaemon({ store: this.store });
    return await client.info();
  }

  /** How many layers the store has. */
  async layers(): Promise<number> {
    await using client = await connectDaemon({ store: this.store });
    return (await client.usage()).layers.length;
  }

  /** Kills the server that runs, and waits for the next one. */
  async killServer(): Promise<void> {
    const { pid } = await this.info();
    process.kill(pid, "SIGKILL");
    await until(
      () =>
        this.info().then(
          (info) => info.pid !== pid,
          () => false,
        ),
      "another server",
    );
  }

  /** Waits until containerd has found the snapshotter again: it tries with pauses of up to three seconds. */
  async reconnected(): Promise<void> {
    const ask = ["snapshots", "--snapshotter", "stargz"];
    await until(
      () =>
        this.ctr(...ask, "prepare", "probe").then(
          () => true,
          () => false,
        ),
      "another connection",
    );
    await this.ctr(...ask, "rm", "probe");
  }

  /**
   * Has containerd remove what nothing needs, and waits for it. What a pull that failed leaves goes in containerd's own time, which
   * may be while the next pull builds upon it.
   */
  async collectGarbage(): Promise<void> {
    const lease = await this.ctr("leases", "create");
    await this.ctr("leases", "delete", "--sync", lease.trim());
  }

  /** Runs a command of esgz on the store; resolves with what it prints. */
  async esgz(...args: readonly string[]): Promise<string> {
    return (await run(process.execPath, [PROGRAM, ...args, "--store", this.store])).stdout;
  }

  /** Runs `ctr`; resolves with what it prints. */
  async ctr(...args: readonly string[]): Promise<string> {
    const { containerd: directory } = this.#options;
    const program = directory === undefined ? "ctr" : join(directory, "ctr");
    return (await run(program, ["--address", this.socket, ...args], { maxBuffer: 64 << 20 })).stdout;
  }

  /** Pulls an image lazily with `ctr-remote images rpull`. */
  async rpull(name: string, ...flags: readonly string[]): Promise<void> {
    await run("ctr-remote", [
      "--address",
      this.socket,
      "images",
      "rpull",
      "--snapshotter",
      "stargz",
      ...flags,
      name,
    ]);
  }

  /** Runs a container until its command ends; resolves with what it prints. */
  async container(name: string, command: readonly string[], flags: readonly string[] = []): Promise<string> {
    const id = containerId();
    return await this.ctr("run", "--rm", "--snapshotter", "stargz", ...flags, name, id, ...command);
  }

  /** Starts a container whose command begins by printing a line, and waits for that line; `output` is all that it prints. */
  async startContainer(
    name: string,
    script: string,
  ): Promise<{ readonly output: Promise<string>; readonly begun: string }> {
    const id = containerId();
    const flags = ["--address", this.socket, "run", "--rm", "--snapshotter", "stargz"];
    const child = spawn("ctr", [...flags, name, id, "/bin/sh", "-c", script], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const parts: Buffer[] = [];
    const errors: Buffer[] = [];
    child.stdout.on("data", (part: Buffer) => parts.push(part));
    child.stderr.on("data", (part: Buffer) => errors.push(part));
    const text = (): string => Buffer.concat(parts).toString();
    const output = new Promise<string>((done, fail) => {
      child.once("close", (code) => {
        if (code === 0) done(text());
        else fail(new Error(`exit status ${code}: ${Buffer.concat(errors).toString()}`));
      });
    });
    output.catch(() => undefined);
    await until(() => text().includes("\n") || child.exitCode !== null, "the container's first line");
    return { output, begun: text() };
  }

  /** The path of a crun that does not see the second hierarchy of control groups, beside which it refuses to run. */
  async crun(): Promise<string> {
    if (!existsSync("/sys/fs/cgroup/unified")) return "crun";
    const path = join(this.base, "crun");
    const script = `#!/bin/sh\nexec unshare -m sh -c 'umount /sys/fs/cgroup/unified; exec "$@"' sh crun "$@"\n`;
    await writeFile(path, script, { mode: 0o755 });
    return path;
  }

  /** What the daemon has said, line by line. */
  log(): readonly Readonly<Record<string, unknown>>[] {
    return readFileSync(join(this.base, "esgz.log"), "utf8")
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** The layers that were asked for: whether they could be shown without unpacking, in this order. */
  prepared(): readonly unknown[] {
    return this.log().flatMap((line) =>
      "remote-snapshot-prepared" in line ? [line["remote-snapshot-prepared"]] : [],
    );
  }

  /** Kills the task of a detached container and removes both. */
  async removeContainer(id: string): Promise<void> {
    await this.ctr("tasks", "kill", "--signal", "SIGKILL", id);
    await this.ctr("tasks", "delete", "--force", id).catch(() => undefined);
    await this.ctr("containers", "rm", id);
  }

  async #end(): Promise<void> {
    const left: string[] = [];
    try {
      for (const work of this.#before) await work();
      await this.#killContainers();
      await this.stopContainerd();
      await this.#killContainers();
      await this.stopDaemon();
      left.push(...mountsBelow(this.base).filter((path) => !path.startsWith(join(this.base, "state"))));
    } finally {
      for (const pid of processesWith(this.base)) killIfThere(pid);
      for (const path of mountsBelow(this.base).toReversed()) await unmount(path, { lazy: true });
      await rm(this.base, { recursive: true, force: true, maxRetries: 5 });
    }
    assert.deepEqual(left, [], "nothing stays mounted");
  }

  /** Shims outlive containerd. */
  async #killContainers(): Promise<void> {
    const shims = processesWith(this.socket).filter((pid) => commandOf(pid).includes("containerd-shim"));
    for (const shim of shims) {
      for (const child of childrenOf(shim)) killIfThere(child);
      killIfThere(shim);
    }
    await until(() => shims.every((pid) => !existsSync(`/proc/${pid}`) || commandOf(pid) === ""));
  }
}

function processesWith(text: string): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => commandOf(pid).includes(text));
}

/** Kills a process that may be about to end by itself, as shims are whose container has ended. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (systemCodeOf(error) !== "ESRCH") throw error;
  }
}

function childrenOf(pid: number): readonly number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1");
    return text.split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    return "";
  }
}
