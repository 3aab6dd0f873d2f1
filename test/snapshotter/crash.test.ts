// SIGKILL in the middle of everything: what was answered holds, what was not leaves nothing behind.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../src/async/index.ts";
import { listMountsBelow } from "../../src/erofs-mount/index.ts";
import {
  type Client,
  Code,
  ConnectError,
  createClient,
  createUnixTransport,
  Snapshots,
} from "../../src/grpc/index.ts";
import type { Digest } from "../../src/oci/index.ts";
import { Snapshotter, type SnapshotterEvent } from "../../src/snapshotter/index.ts";
import { DirectoryLayers } from "./directory-layers.ts";

const SERVER = resolve(import.meta.dirname, "killed-server.ts");
const WORKERS = 6;
const ROUNDS = 2;
const ANSWERS = 100;
const TARGET = "containerd.io/snapshot.ref";

/** What clients were told, and what they had asked without being told. */
class Expectations {
  readonly present: Map<string, Record<string, string>> = new Map();
  readonly absent: Set<string> = new Set();
  readonly unknown: Set<string> = new Set();
  #answers = 0;
  #enough: { readonly count: number; readonly resolve: () => void } | undefined;

  /** Resolves when this many more answers have come. */
  async more(count: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#enough = { count: this.#answers + count, resolve };
    });
  }

  /** Between the question and the answer, both may be true. */
  async change(names: readonly string[], call: () => Promise<unknown>, then: () => void): Promise<void> {
    for (const name of names) {
      this.unknown.add(name);
      this.present.delete(name);
      this.absent.delete(name);
    }
    await call();
    for (const name of names) this.unknown.delete(name);
    this.#answers += 1;
    if (this.#answers === this.#enough?.count) this.#enough.resolve();
    then();
  }
}

/** Makes, labels, commits and removes snapshots until the server is gone. */
async function work(client: Client<typeof Snapshots>, id: string, seen: Expectations): Promise<void> {
  for (let index = 0; ; index += 1) {
    const [key, name] = [`${id}-${index}-key`, `${id}-${index}`];
    const labels = { made: name };
    await seen.change(
      [key],
      () => client.prepare({ key }),
      () => seen.present.set(key, {}),
    );
    await seen.change(
      [key, name],
      () => client.commit({ key, name, labels }),
      () => {
        seen.absent.add(key);
        seen.present.set(name, labels);
      },
    );
    await remotePrepare(client, { target: `${name}-remote`, parent: name, layer: index % 3 }, seen);
    if (index % 2 === 0) continue;
    const gone = `${name}-remote`;
    await seen.change(
      [gone],
      () => client.remove({ key: gone }),
      () => seen.absent.add(gone),
    );
  }
}

async function remotePrepare(
  client: Client<typeof Snapshots>,
  { layer, parent, target }: { target: string; parent: string; layer: number },
  seen: Expectations,
): Promise<void> {
  const labels = {
    [TARGET]: target,
    "containerd.io/snapshot/remote/stargz.reference": "registry.test/image:1",
    "containerd.io/snapshot/remote/stargz.digest": digestOf(layer),
  };
  const expectRemote = async (): Promise<void> => {
    await assert.rejects(client.prepare({ key: `${target}-key`, parent, labels }), (error) => {
      if (error instanceof ConnectError && error.code === Code.AlreadyExists) return true;
      throw error;
    });
  };
  const remote = { "containerd.io/snapshot/remote": "remote snapshot" };
  await seen.change([target], expectRemote, () => seen.present.set(target, { ...labels, ...remote }));
}

function digestOf(layer: number): Digest {
  return `sha256:${String(layer).repeat(64)}`;
}

test("a killed snapshotter has all that it answered for, and nothing else lies around", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("mounting needs root");
  const folder = await mkdtemp(join(tmpdir(), "esgz-crash-"));
  const [root, path, layers] = ["root", "s.sock", "layers"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const remote = new DirectoryLayers();
  t.after(async () => {
    for (const { mountPoint } of await listMountsBelow(root)) await remote.unmount(mountPoint);
    await rm(folder, { recursive: true });
  });
  for (const layer of [0, 1, 2]) {
    const directory = join(layers, digestOf(layer).slice("sha256:".length));
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, "file"), "");
    remote.directories.set(digestOf(layer), directory);
  }
  const seen = new Expectations();
  for (let round = 0; round < ROUNDS; round += 1) {
    await runAndKill([root, path, layers], `${round}`, seen);
    await check(root, remote, seen);
  }
  assert.ok(seen.present.size > 30);
});

async function runAndKill(args: [string, string, string], round: string, seen: Expectations): Promise<void> {
  const server = spawn(process.execPath, [SERVER, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(server, "exit");
  await once(server.stdout, "data");
  using unix = createUnixTransport({ path: args[1] });
  const client = createClient(Snapshots, unix.transport);
  const enough = seen.more(ANSWERS);
  const workers = Promise.allSettled(
    Array.from({ length: WORKERS }, (_, index) => work(client, `${round}-${index}`, seen)),
  );
  await enough;
  server.kill("SIGKILL");
  await ended;
  for (const { status } of await workers) assert.equal(status, "rejected");
}

async function check(root: string, remote: DirectoryLayers, seen: Expectations): Promise<void> {
  const events: SnapshotterEvent[] = [];
  const onEvent = (event: SnapshotterEvent): void => void events.push(event);
  await using snapshotter = await Snapshotter.open({ root, clock: systemClock, remote, onEvent });
  await snapshotter.restored();
  await snapshotter.cleanup();
  const wrong = events.filter(({ kind }) => kind !== "restored" && kind !== "left-over");
  assert.deepEqual(wrong, []);
  const there = new Map(snapshotter.list([]).map((snapshot) => [snapshot.name, snapshot]));
  for (const [name, labels] of seen.present) assert.deepEqual(there.get(name)?.labels, labels, name);
  for (const name of seen.absent) assert.equal(there.has(name), false, name);
  for (const name of there.keys()) assert.ok(seen.present.has(name) || seen.unknown.has(name), name);
  const ids = [...there.values()].map(({ id }) => String(id)).toSorted();
  assert.deepEqual((await readdir(join(root, "snapshots"))).toSorted(), ids);
  const remotes = [...there.values()].filter((snapshot) => snapshot.remote !== undefined);
  assert.equal((await listMountsBelow(root)).length, remotes.length);
}
