/**
 * The private directory of one container.
 *
 * ```text
 * config.json      what a runtime is told
 * start.sh         what is done before the container's program runs, where a runtime does not do it
 * etc/             files that the container has instead of its image's
 * rootfs/          where the root is mounted, in a mount namespace of the container
 * lower0, ...      links to the parts of an overlay: names without characters that mount options care about
 * upper, work
 * state/           the runtime's own
 * log, words       what went wrong
 * pid              the container's first process, once it runs
 * ```
 *
 * @module
 */
import { createHash } from "node:crypto";
import { access, mkdir, mkdtemp, readFile, realpath, rm, rmdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import { makeDirectories } from "../files/index.ts";

/** The files of a container while it runs. Disposing takes them away. */
export class ContainerDirectory implements AsyncDisposable {
  readonly path: string;
  /** Different for all containers that run on a machine at the same time. */
  readonly id: string;
  readonly rootfs: string;
  readonly state: string;
  readonly log: string;
  readonly words: string;
  readonly pid: string;
  readonly script: string;

  private constructor(path: string) {
    this.path = path;
    this.id = createHash("sha256").update(path).digest("hex").slice(0, 12);
    this.rootfs = join(path, "rootfs");
    this.state = join(path, "state");
    this.log = join(path, "log");
    this.words = join(path, "words");
    this.pid = join(path, "pid");
    this.script = join(path, "start.sh");
  }

  /**
   * Makes a directory below a given one, which is made if it is missing.
   *
   * @throws {EsgzError} `IO_FAILED`
   */
  static async create(parent: string): Promise<ContainerDirectory> {
    try {
      await makeDirectories(parent);
      const directory = new ContainerDirectory(await mkdtemp(join(await realpath(parent), "container-")));
      await mkdir(directory.rootfs);
      await mkdir(directory.state, { mode: 0o700 });
      await mkdir(join(directory.path, "etc"), { mode: 0o755 });
      return directory;
    } catch (cause) {
      const text = `Cannot create container directory below "${parent}": ${messageOf(cause)}`;
      throw new EsgzError("IO_FAILED", text, { cause });
    }
  }

  /** Writes a file and returns its path. Others may read it: it may become a file of the container. */
  async write(name: string, text: string): Promise<string> {
    const path = join(this.path, name);
    await writeFile(path, text, { mode: 0o644 });
    return path;
  }

  /** Gives a directory of the machine a short name here. */
  async link(name: string, target: string): Promise<string> {
    await symlink(target, join(this.path, name));
    return name;
  }

  /** A file that somebody else writes; empty as long as it is not there. */
  async read(path: string): Promise<string> {
    try {
      return await readFile(path, "utf8");
    } catch (error) {
      if (systemCodeOf(error) === "ENOENT") return "";
      throw error;
    }
  }

  /** Whether the runtime still knows the container. */
  async hasState(): Promise<boolean> {
    return access(join(this.state, this.id)).then(
      () => true,
      () => false,
    );
  }

  /** The first process of the container in the machine's numbers; undefined before it runs. */
  async containerPid(): Promise<number | undefined> {
    const pid = Number.parseInt(await this.read(this.pid), 10);
    return pid > 1 ? pid : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Were something mounted here, this fails, and nothing of it is removed.
    await rmdir(this.rootfs).catch((error: unknown) => {
      if (systemCodeOf(error) !== "ENOENT") throw error;
    });
    await rm(this.path, { recursive: true, force: true });
  }
}
