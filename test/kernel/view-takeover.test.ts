/**
 * A server of views that is killed under load: the next one takes over, and readers see a delay at most.
 */
import assert from "node:assert/strict";
import { fork, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import { listMountsBelow, unmountBelow } from "../../src/erofs-mount/index.ts";
import { probeViews, type AdoptedFuse, type ViewMethod } from "../../src/lazyfs/index.ts";
import { hasKernel, missingFuse } from "./fuse-mounts.ts";
import { copyDescriptor } from "./linux.ts";
import type { ViewServerMessage, ViewServerOptions } from "./view-server-process.ts";

const LIMIT = { timeout: 240_000 };
const KILLS = 4;
const FIRST_FD = 4;

/** Keeps the connections of servers, and serves nothing: this process must not look at the mount. */
class TestHolder {
  readonly #options: Omit<ViewServerOptions, "adopted">;
  readonly #kept = new Map<string, AdoptedFuse>();
  #server: ChildProcess | undefined;

  constructor(options: Omit<ViewServerOptions, "adopted">) {
    this.#options = options;
  }

  get ids(): readonly string[] {
    return [...this.#kept.keys()];
  }

  /**
   * Starts a server; resolves with the mounts that it found standing when it is ready.
   *
   * @param killAt a connection: the server is killed when it asks for it to be kept, and that is what is waited for.
   */
  async start({ killAt }: { readonly killAt?: string } = {}): Promise<readonly string[]> {
    const kept = [...this.#kept.values()];
    const adopted = kept.map((fuse, index) => ({ ...fuse, fd: FIRST_FD + index }));
    const server = fork(
      join(import.meta.dirname, "view-server-process.ts"),
      [JSON.stringify({ ...this.#options, adopted })],
      { stdio: ["ignore", "inherit", "inherit", "ipc", ...kept.map(({ fd }) => fd)] },
    );
    this.#server = server;
    const ready = Promise.withResolvers<readonly string[]>();
    server.once("exit", (_status, signal) => {
      if (signal === "SIGKILL") ready.resolve([]);
      else ready.reject(new Error("the server ended before it was ready"));
    });
    server.on("message", (message: ViewServerMessage) => {
      if (message.kind === "ready") ready.resolve(message.kept);
      else if (message.kind === "disown") this.#disown(message.id);
      else if (message.fuse.id === killAt) server.kill("SIGKILL");
      else {
        const fd = copyDescriptor(server.pid ?? 0, message.fuse.fd);
        this.#kept.set(message.fuse.id, { ...message.fuse, fd });
        server.send("done");
      }
    });
    return await ready.promise;
  }

  async kill(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const exit = once(server, "exit");
    server.kill("SIGKILL");
    await exit;
  }

  close(): void {
    for (const id of this.ids) this.#disown(id);
  }

  #disown(id: string): void {
    const fuse = this.#kept.get(id);
    this.#kept.delete(id);
    if (fuse !== undefined) closeSync(fuse.fd);
  }
}

for (const { method, writable } of [
  { method: "erofs-file", writable: false },
  { method: "erofs-loop", writable: false },
  { method: "tree", writable: false },
  { method: "tree", writable: true },
] as const) {
  const what = `${writable ? "a writable image" : "an image"} shown by ${method}`;
  test(`servers are killed again and again, and ${what} is read without an error`, LIMIT, async (t) => {
    const root = await setUp(t, method);
    if (root === undefined) return;
    const holder = holdForTest(t, { root, method, writable });
    assert.deepEqual(await holder.start(), []);
    const reader = startReader(t, [join(root, "target"), ...(writable ? ["overlay"] : [])]);
    for (let kill = 1; kill <= KILLS; kill += 1) {
      // The first ones while contents are being fetched, the others in the middle of a round.
      if (kill > 2) await reader.round();
      await holder.kill();
      assert.deepEqual(await holder.start(), ["held"]);
    }
    assert.equal(await reader.finish(), 0);
    assert.deepEqual(holder.ids, [method === "tree" ? "tree:held:0" : "files"]);
    assert.deepEqual(await readdir(join(root, "store/mounts")), ["held"]);
  });
}

for (const [method, connection] of [
  ["erofs-file", "files"],
  ["tree", "tree:held:0"],
] as const) {
  test(`what a server leaves that is killed while it mounts by ${method} is taken away`, LIMIT, async (t) => {
    const root = await setUp(t, method);
    if (root === undefined) return;
    const holder = holdForTest(t, { root, method, writable: true });
    assert.deepEqual(await holder.start({ killAt: connection }), []);
    assert.deepEqual(await readdir(join(root, "store/mounts")), ["held"]);
    // It finds nothing standing, and mounts under the same name.
    assert.deepEqual(await holder.start(), []);
    const places = (await listMountsBelow(root)).map(({ mountPoint }) => mountPoint.slice(root.length));
    const own = method === "tree" ? [] : ["/store/fuse"];
    assert.deepEqual(places.sort(), [...own, "/store/mounts/held/lower", "/target"]);
  });
}

async function setUp(t: TestContext, method: ViewMethod): Promise<string | undefined> {
  const missing = missingFuse() ?? (hasKernel(6, 9) ? undefined : "needs Linux 6.9");
  if (missing !== undefined) {
    t.skip(missing);
    return undefined;
  }
  const root = await mkdtemp(join(tmpdir(), "esgz-takeover-"));
  const { methods, reasons } = await probeViews(root);
  if (methods.includes(method)) {
    await mkdir(join(root, "target"));
    return root;
  }
  await rm(root, { recursive: true });
  t.skip(reasons.join("; "));
  return undefined;
}

function holdForTest(t: TestContext, options: Omit<ViewServerOptions, "adopted">): TestHolder {
  const holder = new TestHolder(options);
  t.after(async () => {
    await unmountBelow(options.root, { lazy: true });
    await holder.kill();
    holder.close();
    await rm(options.root, { recursive: true, force: true });
  });
  return holder;
}

function startReader(
  t: TestContext,
  parameters: readonly string[],
): { readonly round: () => Promise<void>; readonly finish: () => Promise<number | string> } {
  const program = join(import.meta.dirname, "view-reader-process.ts");
  const child = spawn(process.execPath, [program, ...parameters], { stdio: ["pipe", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const exit = once(child, "exit") as Promise<[number | null, string | null]>;
  const lines = createInterface({ input: child.stdout });
  const ended = exit.then(([status, signal]) => assert.fail(`the reader ended with ${status ?? signal}`));
  ended.catch(() => undefined);
  return {
    round: async () => void (await Promise.race([once(lines, "line"), ended])),
    async finish() {
      child.stdin.end();
      const [status, signal] = await exit;
      return status ?? signal ?? "";
    },
  };
}
