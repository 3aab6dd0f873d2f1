/**
 * A registry with a small image that runs, and commands with a store of their own.
 *
 * @module
 */
import { type ChildProcess, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { endChild } from "../kernel/end-child.ts";
import { CommandLine, type CommandResult, type Program, type RunOptions } from "./command-line.fixture.ts";

const BUSYBOX = "/bin/busybox";
const ARCHITECTURE = process.arch === "x64" ? "amd64" : process.arch;
const MEDIA = "application/vnd.oci.image";

/** Why these tests cannot run here; undefined where they can. */
export const missingForStore: string | undefined =
  process.geteuid?.() !== 0
    ? "mounting needs root"
    : !existsSync("/dev/fuse")
      ? "/dev/fuse is missing"
      : existsSync(BUSYBOX)
        ? undefined
        : "busybox-static is not installed";

/** Commands that share a store; its daemon is ended, and all that is mounted is gone, with it. */
export class StoreShell implements AsyncDisposable {
  readonly shell: CommandLine;
  readonly store: string;
  registry = "";
  #server: ChildProcess | undefined;

  constructor(program?: Program) {
    this.shell = new CommandLine(program);
    this.store = join(this.shell.directory, "store");
  }

  /** Starts a registry and pushes `test/box:1`: two layers, one of them lazy. */
  async open(): Promise<this> {
    writeBoxLayout(join(this.shell.directory, "box"));
    const { line, child } = await this.shell.start(["registry", "--listen", "127.0.0.1:0"]);
    this.#server = child;
    this.registry = /127\.0\.0\.1:\d+/.exec(line)?.[0] ?? "";
    const image = `${this.registry}/test/box`;
    for (const args of [
      ["convert", "oci:box:1", `${image}:1`],
      ["convert", "oci:box:1", `${image}:plain`, "--format", "gzip"],
    ]) {
      const { status, stderr } = await this.shell.run(args);
      if (status !== 0) throw new Error(stderr);
    }
    return this;
  }

  /** The lazy image. */
  get image(): string {
    return `${this.registry}/test/box:1`;
  }

  /** Ends the registry. */
  async stopRegistry(): Promise<void> {
    await endChild(this.#server);
  }

  /** Writes the image for other processors, without an index, to a layout; its name. */
  foreignImage(architecture: string): string {
    const root = join(this.shell.directory, architecture);
    writeBoxLayout(root, architecture);
    return `oci:${root}:1`;
  }

  /** Runs `esgz ARGS` with the store. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
    const environment = { ESGZ_STORE: this.store, ...options.environment };
    return await this.shell.run(args, { ...options, environment });
  }

  /** Starts `esgz ARGS` with the store and resolves with its first line of output. */
  async start(args: readonly string[]): Promise<{ readonly line: string; readonly child: ChildProcess }> {
    return await this.shell.start(args, { environment: { ESGZ_STORE: this.store } });
  }

  /** What is mounted below the directory of these commands. */
  mounts(): readonly string[] {
    const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
    return lines
      .map((line) => line.split(" ")[4] ?? "")
      .filter((path) => path.startsWith(this.shell.directory));
  }

  /** Makes a directory. */
  directory(name: string): string {
    const path = join(this.shell.directory, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run(["daemon", "--stop", "--force"]);
    await this.shell[Symbol.asyncDispose]();
  }
}

/** Two layers: busybox with its names, and files over it. */
function writeBoxLayout(root: string, architecture = ARCHITECTURE): void {
  const base = join(root, "tree/base");
  mkdirSync(join(base, "bin"), { recursive: true });
  for (const directory of ["proc", "sys", "dev", "etc", "tmp"]) mkdirSync(join(base, directory));
  copyFileSync(BUSYBOX, join(base, "bin/busybox"));
  for (const name of ["sh", "cat", "echo", "ls", "id", "env", "pwd", "hostname", "touch", "sleep", "tty"])
    symlinkSync("busybox", join(base, "bin", name));
  writeFileSync(join(base, "etc/passwd"), "root:x:0:0::/:/bin/sh\nworker:x:1234:1234::/tmp:/bin/sh\n");
  writeFileSync(join(base, "etc/group"), "root:x:0:\nworker:x:1234:\n");
  const top = join(root, "tree/top");
  mkdirSync(join(top, "data"), { recursive: true });
  writeFileSync(join(top, "data/hello"), "hello from the image\n");
  writeFileSync(join(top, "data/large"), Buffer.alloc(3 << 20, "0123456789abcdef"));
  writeLayout(root, { trees: [base, top], architecture });
}

function writeLayout(
  root: string,
  { trees, architecture }: { readonly trees: readonly string[]; readonly architecture: string },
): void {
  mkdirSync(join(root, "blobs/sha256"), { recursive: true });
  const put = (bytes: Uint8Array | string): { digest: string; size: number } => {
    const hex = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(root, "blobs/sha256", hex), bytes);
    return { digest: `sha256:${hex}`, size: Buffer.byteLength(bytes) };
  };
  const layers = trees.map((tree) =>
    put(execFileSync("tar", ["--owner=0", "--group=0", "-C", tree, "-c", "."], { maxBuffer: 64 << 20 })),
  );
  const config = put(
    JSON.stringify({
      architecture,
      os: "linux",
      config: { Env: ["PATH=/bin", "FROM_IMAGE=yes"], Cmd: ["cat", "/data/hello"], WorkingDir: "/data" },
      rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
    }),
  );
  const manifest = put(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: `${MEDIA}.manifest.v1+json`,
      config: { mediaType: `${MEDIA}.config.v1+json`, ...config },
      layers: layers.map((layer) => ({ mediaType: `${MEDIA}.layer.v1.tar`, ...layer })),
    }),
  );
  const annotations = { "org.opencontainers.image.ref.name": "1" };
  const manifests = [{ mediaType: `${MEDIA}.manifest.v1+json`, ...manifest, annotations }];
  writeFileSync(join(root, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));
  writeFileSync(join(root, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
}
