/**
 * Roots to run containers in, and what a test needs around them.
 */
import { execFileSync, type ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import {
  access,
  chmod,
  chown,
  copyFile,
  mkdir,
  mkdtemp,
  readFile,
  realpath,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findRuntimes } from "./find-runtimes.ts";
import type { RunContainerOptions } from "./run-options.ts";

/** The `PATH` in which the programs of this machine are looked for. */
export const HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const BUSYBOX = "/bin/busybox";
const PROGRAMS = [
  "sh",
  "cat",
  "echo",
  "env",
  "id",
  "ls",
  "pwd",
  "sleep",
  "true",
  "stat",
  "touch",
  "hostname",
  "kill",
  "mount",
  "tty",
  "stty",
  "readlink",
  "grep",
  "wc",
];

/** A scratch directory with a root of busybox at `root`. Disposing removes it. */
export class Scratch implements AsyncDisposable {
  readonly path: string;
  readonly root: string;
  readonly state: string;
  readonly owner: number;
  /** Processes that must not outlive a test that failed. */
  readonly children: ChildProcess[] = [];

  private constructor(path: string, owner: number) {
    this.path = path;
    this.root = join(path, "root");
    this.state = join(path, "state");
    this.owner = owner;
  }

  static async create(owner = 0): Promise<Scratch> {
    const scratch = new Scratch(await mkdtemp(join(await realpath(tmpdir()), "esgz-runtime-")), owner);
    await chmod(scratch.path, 0o755);
    for (const name of ["state", "root", "upper", "work", "root/bin", "root/etc", "root/tmp"]) {
      await mkdir(join(scratch.path, name));
    }
    await copyFile(BUSYBOX, join(scratch.root, "bin/busybox"));
    for (const name of PROGRAMS) await symlink("busybox", join(scratch.root, "bin", name));
    await writeFile(
      join(scratch.root, "etc/passwd"),
      "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
    );
    await writeFile(
      join(scratch.root, "etc/group"),
      "root:x:0:\nweb:x:33:app\napp:x:1000:\nlogs:x:44:other,app\n",
    );
    if (owner !== 0) execFileSync("chown", ["-R", `${owner}:${owner}`, scratch.path]);
    await chown(scratch.path, owner, owner);
    return scratch;
  }

  /** A directory of the scratch. */
  async directory(name: string): Promise<string> {
    const path = join(this.path, name);
    await mkdir(path, { recursive: true });
    await chown(path, this.owner, this.owner);
    return path;
  }

  /** Options for a container here that does what a shell is told. */
  options(script: string, more: Partial<RunContainerOptions> = {}): RunContainerOptions {
    return {
      config: { rootfs: { type: "layers" } },
      command: ["sh", "-c", script],
      network: "none",
      tty: false,
      readonly: false,
      rootfs: { kind: "directory", path: this.root },
      host: { path: HOST_PATH, uid: this.owner, gid: this.owner },
      stateDirectory: this.state,
      ...more,
    };
  }

  overlay(): RunContainerOptions["rootfs"] {
    const { path, root } = this;
    return { kind: "overlay", lower: root, upper: join(path, "upper"), work: join(path, "work") };
  }

  killChildren(): void {
    for (const child of this.children) child.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.killChildren();
    await rm(this.path, { recursive: true, force: true });
  }
}

/** Files for a container's output, read when it has ended. */
export class Output implements Disposable {
  readonly stdout: number;
  readonly stderr: number;
  readonly #path: string;

  constructor(directory: string) {
    this.#path = directory;
    this.stdout = openSync(join(directory, "stdout"), "w");
    this.stderr = openSync(join(directory, "stderr"), "w");
  }

  get stdio(): readonly ["ignore", number, number] {
    return ["ignore", this.stdout, this.stderr];
  }

  async lines(): Promise<string[]> {
    return (await readFile(join(this.#path, "stdout"), "utf8")).trimEnd().split("\n");
  }

  async errors(): Promise<string> {
    return readFile(join(this.#path, "stderr"), "utf8");
  }

  [Symbol.dispose](): void {
    closeSync(this.stdout);
    closeSync(this.stderr);
  }
}

/** Why containers cannot be run here; undefined if they can. */
export async function missingForContainers(runtime: "runc" | "crun" | "none"): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "only root can make these roots";
  const found = await findRuntimes({ path: HOST_PATH });
  if (found.unshare === undefined || found.setpriv === undefined) return "unshare or setpriv is missing";
  if (runtime !== "none" && found[runtime] === undefined) return `${runtime} is missing`;
  return access(BUSYBOX).then(
    () => undefined,
    () => "busybox is missing",
  );
}

/**
 * A `PATH` whose crun runs beside a hybrid cgroup layout, which crun itself refuses: without the second hierarchy it works.
 */
export async function crunPath(directory: string): Promise<string> {
  const unified = await access("/sys/fs/cgroup/unified").then(
    () => true,
    () => false,
  );
  if (!unified) return HOST_PATH;
  const { crun = "crun" } = await findRuntimes({ path: HOST_PATH });
  const place = join(directory, "bin");
  await mkdir(place, { recursive: true });
  const script = `#!/bin/sh\nexec unshare -m sh -c 'umount /sys/fs/cgroup/unified; exec "$@"' sh ${crun} "$@"\n`;
  await writeFile(join(place, "crun"), script, { mode: 0o755 });
  return `${place}:${HOST_PATH}`;
}
