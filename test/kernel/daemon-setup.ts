/**
 * For tests: stores with daemons of their own, which leave nothing behind.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { connectDaemon, type DaemonClient, type StartOptions } from "../../src/daemon/index.ts";
import { isEsgzError } from "../../src/errors/index.ts";
import { estargzOf, plainOf, type ServedImage, serveImage } from "../../src/lazyfs/image.fixture.ts";
import { unmountFuse } from "../../src/fuse/index.ts";
import { tarOf } from "../../src/tar/make-tar.fixture.ts";
import { freePort } from "../registry/free-port.ts";
import { leftoversOf, mountsBelow } from "./daemon-leftovers.ts";

export { mountsBelow } from "./daemon-leftovers.ts";

const PAUSE_MS = 20;
/** Far more than anything takes that happens at all, also where tests run side by side on a slow machine. */
const PATIENCE_MS = 90_000;
const IDLE_EXIT_MS = 60_000;

/** A store in a temporary directory, whose daemon is stopped and which is removed when the test ends. */
export interface TestStore {
  readonly root: string;
  /** A directory to mount on, beside the store. */
  readonly directory: (name: string) => string;
  /** A client, whose daemon is started where there is none. */
  readonly connect: (start?: StartOptions) => Promise<DaemonClient>;
  readonly log: () => string;
}

/** Makes one. */
export async function temporaryDaemonStore(t: TestContext): Promise<TestStore> {
  const base = await mkdtemp(join(tmpdir(), "esgz-daemon-"));
  const root = join(base, "store");
  t.after(async () => {
    let left: readonly string[];
    try {
      await stopDaemon(root);
      // The kernel lets go of loop devices and sockets a moment later.
      await until(() => leftoversOf(root).length === 0).catch(() => undefined);
      left = leftoversOf(root);
    } finally {
      await unmountBelow(base);
      await rm(base, { recursive: true, force: true, maxRetries: 3 });
    }
    assert.deepEqual(left, [], "a daemon that ends leaves nothing");
  });
  return {
    root,
    directory: (name) => {
      const path = join(base, name);
      mkdirSync(path);
      return path;
    },
    connect: async (start = {}) => {
      const client = await connectDaemon({ store: root, start: { idleExitMs: IDLE_EXIT_MS, ...start } });
      t.after(() => client.close());
      return client;
    },
    log: () => (existsSync(join(root, "daemon.log")) ? readFileSync(join(root, "daemon.log"), "utf8") : ""),
  };
}

/** Ends the daemon of a store with all its mounts, if it has one, and waits for its end. */
export async function stopDaemon(root: string): Promise<void> {
  try {
    await using client = await connectDaemon({ store: root });
    const { holderPid, pid } = await client.info();
    await client.stop({ force: true });
    await until(() => !isRunning(holderPid) && !isRunning(pid));
  } catch (error) {
    if (!isEsgzError(error, "DAEMON_UNAVAILABLE")) throw error;
  }
}

/** Whether a process has not ended. */
export function isRunning(pid: number): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return !text.slice(text.lastIndexOf(")") + 2).startsWith("Z");
  } catch {
    return false;
  }
}

/** Waits for something outside of this process; fails when it takes too long. */
export async function until(condition: () => boolean | Promise<boolean>, what = "it"): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    assert.ok(performance.now() < endMs, `${what} did not happen`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

async function unmountBelow(base: string): Promise<void> {
  for (const target of mountsBelow(base).toReversed())
    await unmountFuse(target, { lazy: true, method: "call" });
}

/** Files of known contents, in an image. */
export interface SampleFiles {
  readonly contents: ReadonlyMap<string, Buffer>;
  readonly image: ServedImage;
  /** The image by way of {@link SampleFiles.line}. */
  readonly name: string;
  /** The line to the registry. */
  readonly line: Line;
}

/** Serves an image of two lazy layers, with files of random bytes; by default each too large to be brought whole beforehand. */
export async function serveSampleFiles(
  t: TestContext,
  options: { readonly files?: number; readonly size?: number; readonly plain?: boolean } = {},
): Promise<SampleFiles> {
  const { files = 6, size = 400_000, plain = false } = options;
  const contents = new Map(
    Array.from({ length: files }, (_, index) => [`file${index}`, randomBytes(size)] as const),
  );
  const half = Math.ceil(files / 2);
  const entries = [...contents].map(([name, content]) => ({ name, content }));
  const layers = [entries.slice(0, half), entries.slice(half)].map(async (part) => {
    const tar = tarOf(part);
    return plain ? plainOf(tar) : await estargzOf(tar, { chunkSize: 64 << 10 });
  });
  const image = await serveImage(t, await Promise.all(layers));
  const line = await Line.open(t, image.server.port);
  return { contents, image, line, name: `127.0.0.1:${line.port}/test/image:latest` };
}

/** A way to a port that can be cut. */
export class Line {
  readonly port: number;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  #server: Server;

  private constructor(target: number, { server, port }: { readonly server: Server; readonly port: number }) {
    this.#target = target;
    this.#server = server;
    this.port = port;
  }

  /** Opens a way to a port of this machine, until the test ends. */
  static async open(t: TestContext, target: number): Promise<Line> {
    const server = createServer();
    // One that nobody is given while the line is cut.
    const port = await freePort();
    await listen(server, port);
    const line = new Line(target, { server, port });
    line.#serve();
    t.after(() => line.cut());
    return line;
  }

  /** Ends all connections and takes no more. */
  async cut(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Takes connections again. */
  async mend(): Promise<void> {
    this.#server = createServer();
    this.#serve();
    await listen(this.#server, this.port);
  }

  /** Takes connections, and never says anything. */
  async hush(): Promise<void> {
    await this.cut();
    this.#server = createServer((near) => {
      this.#sockets.add(near);
      near.on("error", () => undefined).resume();
    });
    await listen(this.#server, this.port);
  }

  #serve(): void {
    this.#server.on("connection", (near) => {
      const far = connect(this.#target, "127.0.0.1");
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.on("close", () => void this.#sockets.delete(from));
        from.on("close", () => to.destroy()).on("error", () => to.destroy());
        from.pipe(to);
      }
    });
  }
}

async function listen(server: Server, port: number): Promise<void> {
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
}
