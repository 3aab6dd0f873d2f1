/**
 * For tests: Podman with storage of its own, and its layers from an additional layer store.
 */
import { execFile } from "node:child_process";
import { mkdir, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { isInstalled } from "../snapshotter/private-containerd.ts";

const run = promisify(execFile);
/** The kernel's number of overlayfs, which cannot lie on one of its kind. */
const OVERLAYFS = 0x794c7630;

/** Why Podman cannot run containers here; undefined if it can. */
export async function whyNoPodman(directory: string): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "Podman with an overlay of its own needs root";
  for (const tool of ["podman", "runc", "busybox", "unshare"])
    if (!(await isInstalled(tool))) return `${tool} is not installed`;
  const { type } = await statfs(directory);
  return type === OVERLAYFS ? "the temporary directory lies on an overlay" : undefined;
}

/** Runs Podman in a directory; nothing of it is mounted for others. */
export class Podman {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Writes its configuration. `layers` is where the additional layer store is mounted, which has to be served. */
  static async configure(directory: string, layers: string): Promise<Podman> {
    const podman = new Podman(directory);
    await mkdir(podman.storage, { recursive: true });
    const lines = [
      '[storage]\ndriver = "overlay"',
      `graphroot = "${podman.storage}"`,
      `runroot = "${join(directory, "run")}"`,
      `[storage.options]\nadditionallayerstores = ["${layers}:ref"]`,
    ];
    await writeFile(join(directory, "storage.conf"), `${lines.join("\n")}\n`);
    await writeFile(join(directory, "policy.json"), '{"default":[{"type":"insecureAcceptAnything"}]}');
    return podman;
  }

  /** Where its images and containers lie. */
  get storage(): string {
    return join(this.#directory, "storage");
  }

  /** Pulls an image. */
  async pull(name: string, ...flags: readonly string[]): Promise<string> {
    const policy = ["--signature-policy", join(this.#directory, "policy.json")];
    return await this.#podman(["pull", "--quiet", "--tls-verify=false", ...policy, ...flags, name]);
  }

  /** Runs a container of an image that was pulled, until its command ends; resolves with what it prints. */
  async container(name: string, command: readonly string[]): Promise<string> {
    const limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
    return await this.#podman(["run", "--rm", "--network=host", ...limits, "--pull=never", name, ...command]);
  }

  /** Removes an image. */
  async remove(name: string): Promise<void> {
    await this.#podman(["rmi", name]);
  }

  async #podman(command: readonly string[]): Promise<string> {
    // Mounts of others are seen, and none is made or taken away for them.
    const alone = ["--mount", "--propagation", "slave", "podman"];
    const places = ["--tmpdir", join(this.#directory, "tmp")];
    const engine = [
      "--runtime",
      "runc",
      "--cgroup-manager",
      "cgroupfs",
      "--events-backend",
      "none",
      ...places,
    ];
    const { stdout } = await run("unshare", [...alone, ...engine, ...command], {
      timeout: 240_000,
      env: { ...process.env, CONTAINERS_STORAGE_CONF: join(this.#directory, "storage.conf") },
    });
    return stdout;
  }
}
