/**
 * Stores whose files are changed while no daemon looks: readers get right bytes, fetched anew, or errors.
 */
import assert from "node:assert/strict";
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { DaemonClient, MountRequest } from "../../src/daemon/index.ts";
import { PLATFORM } from "../../src/lazyfs/image.fixture.ts";
import { formatPlatform } from "../../src/oci/index.ts";
import {
  isRunning,
  mountsBelow,
  stopDaemon,
  type TestStore,
  temporaryDaemonStore,
  until,
} from "./daemon-setup.ts";
import { type FaultyImage, serveFaultyImage } from "./faulty-registry.ts";
import { hasKernel, missingFuse } from "./fuse-mounts.ts";
import { lookAt, writeConfig } from "./trust-setup.ts";

const LIMIT = { timeout: 300_000 };
const platform = formatPlatform(PLATFORM);
const LAZY = '[fetch]\ndeadline = "10s"\nbackground = false\nprefetch = false\n';
const ALL_RIGHT = { wrong: [], right: 4, errors: 0 };

/** Files of a store by what they are. */
const PARTS: ReadonlyMap<string, (root: string) => readonly string[]> = new Map([
  ["data", (root) => layerFiles(root, "data")],
  ["meta", (root) => layerFiles(root, "meta")],
  ["chunks", (root) => layerFiles(root, "chunks")],
  ["filled and content", (root) => [...layerFiles(root, "filled"), ...filesBelow(join(root, "content"))]],
  [
    "database",
    (root) => ["metadata.db", "metadata.db-wal"].map((name) => join(root, name)).filter(existsSync),
  ],
]);

/** What differs between the ways is how metadata and data are read; the rest is the same for all. */
const WAYS: readonly {
  readonly way: string;
  readonly request: Partial<MountRequest>;
  readonly parts: readonly string[];
}[] = [
  { way: "erofs-file", request: { view: "erofs-file" }, parts: [...PARTS.keys()] },
  {
    way: "loop devices, layer by layer",
    request: { view: "erofs-loop", layered: true },
    parts: ["data", "meta"],
  },
  { way: "a tree view", request: { view: "tree" }, parts: ["data", "filled and content"] },
];

for (const { way, request, parts } of WAYS) {
  test(`what was changed on the disk while no daemon ran is noticed, through ${way}`, LIMIT, async (t) => {
    const reason = missingKernel();
    if (reason !== undefined) return t.skip(reason);
    const world = await begin(t);
    for (const part of parts) {
      const filesOf = PARTS.get(part) ?? (() => []);
      const beginMs = performance.now();
      await tamperWhileDown(world, { part, filesOf, request });
      t.diagnostic(`${part}: ${Math.round(performance.now() - beginMs)} ms`);
    }
  });
}

test("a mount whose layers' metadata was damaged is there again when the layers are", LIMIT, async (t) => {
  const reason = missingKernel();
  if (reason !== undefined) return t.skip(reason);
  const { store, image, config } = await begin(t);
  const directory = store.directory("mnt");
  const again = store.directory("again");
  let client = await store.connect({ configPath: config });
  const mount = { reference: image.name, platform, background: false };
  await client.mount({ ...mount, directory, writable: true });
  writeFileSync(join(directory, "written"), "kept\n");
  await killAll(client);
  for (const path of layerFiles(store.root, "meta")) flipBytes(path);
  client = await store.connect({ configPath: config });
  assert.equal((await lookAt(directory, image.contents)).errors, 4);
  assert.deepEqual(await client.mounts(), []);
  await client.mount({ ...mount, directory: again });
  assert.deepEqual(await lookAt(again, image.contents), ALL_RIGHT);
  assert.deepEqual(await lookAt(directory, image.contents), ALL_RIGHT);
  assert.equal(readFileSync(join(directory, "written"), "utf8"), "kept\n");
  assert.equal((await client.mounts()).length, 2);
});

test("damaged metadata that the kernel shows by itself is not shown by the next server", LIMIT, async (t) => {
  const reason = missingKernel();
  if (reason !== undefined) return t.skip(reason);
  const { store, image, config } = await begin(t);
  const directory = store.directory("mnt");
  const again = store.directory("again");
  const client = await store.connect({ configPath: config });
  const mount = { reference: image.name, platform, background: false, layered: true };
  await client.mount({ ...mount, directory });
  const { pid, holderPid } = await client.info();
  process.kill(holderPid, "SIGSTOP");
  process.kill(pid, "SIGKILL");
  for (const path of layerFiles(store.root, "meta")) flipBytes(path);
  process.kill(holderPid, "SIGCONT");
  await until(async () => (await client.info()).mounts === 0, "the end of the mount");
  assert.deepEqual(mountsBelow(directory), []);
  await client.mount({ ...mount, directory: again });
  for (const place of [again, directory]) assert.deepEqual(await lookAt(place, image.contents), ALL_RIGHT);
});

test(
  "metadata that is damaged under a daemon that runs is made good for the next mount",
  LIMIT,
  async (t) => {
    const reason = missingKernel();
    if (reason !== undefined) return t.skip(reason);
    const { store, image, config } = await begin(t);
    const directory = store.directory("mnt");
    const again = store.directory("again");
    const client = await store.connect({ configPath: config });
    const mount = { reference: image.name, platform, background: false };
    await client.mount({ ...mount, directory });
    const metas = layerFiles(store.root, "meta");
    const sound = metas.map((path) => readFileSync(path));
    for (const path of metas) flipBytes(path);
    await client.mount({ ...mount, directory: again, layered: true });
    assert.deepEqual(
      metas.map((path) => readFileSync(path)),
      sound,
    );
    for (const place of [again, directory]) assert.deepEqual(await lookAt(place, image.contents), ALL_RIGHT);
  },
);

/** Half of an image is there, and mounted; all dies; files change; a daemon starts again. */
async function tamperWhileDown(
  { store, image, config }: World,
  options: {
    readonly part: string;
    readonly filesOf: (root: string) => readonly string[];
    readonly request: Partial<MountRequest>;
  },
): Promise<void> {
  const { part, filesOf, request } = options;
  const directory = store.directory(`mnt ${part}`);
  const again = store.directory(`again ${part}`);
  let client = await store.connect({ configPath: config });
  const mount = { reference: image.name, platform, background: false, ...request };
  await client.mount({ ...mount, directory });
  const half = new Map([...image.contents].filter((_, at) => at % 2 === 0));
  assert.equal((await lookAt(directory, half)).right, 2, part);
  await killAll(client);
  const files = filesOf(store.root).filter((path) => statSync(path).size > 0);
  assert.ok(files.length > 0, part);
  for (const path of files) flipBytes(path);
  try {
    client = await store.connect({ configPath: config });
  } catch (error) {
    // A store that cannot be understood is refused: nothing is served then.
    assert.match(String(error), /STORE_INVALID|Cannot/, part);
    assert.equal((await lookAt(directory, image.contents)).errors, 4, part);
    return;
  }
  assert.deepEqual((await lookAt(directory, image.contents)).wrong, [], `${part}, the mount that was there`);
  await client.mount({ ...mount, directory: again });
  assert.deepEqual(await lookAt(again, image.contents), ALL_RIGHT, `${part}, a new mount`);
  await client.unmount(directory).catch(() => undefined);
  await client.unmount(again);
  await client.prune({ all: true });
  await stopDaemon(store.root);
}

interface World {
  readonly store: TestStore;
  readonly image: FaultyImage;
  readonly config: string;
}

async function begin(t: TestContext): Promise<World> {
  const store = await temporaryDaemonStore(t);
  return { store, image: await serveFaultyImage(t), config: writeConfig(store, LAZY) };
}

/** Ends holder and server as a crash does; without effect on those that have ended. */
async function killAll(client: DaemonClient): Promise<void> {
  const info = await client.info().catch(() => undefined);
  if (info === undefined) return;
  const { pid, holderPid } = info;
  process.kill(holderPid, "SIGSTOP");
  process.kill(pid, "SIGKILL");
  process.kill(holderPid, "SIGKILL");
  await until(() => !isRunning(pid) && !isRunning(holderPid), "the end of the daemon");
}

/** Changes bytes in place, all over a file but not where it has holes: the size stays. */
function flipBytes(path: string): void {
  const fd = openSync(path, "r+");
  try {
    const { size } = fstatSync(fd);
    const step = Math.max(1, Math.min(4096, Math.floor(size / 7)));
    const byte = Buffer.alloc(1);
    for (let at = Math.floor(step / 3); at < size; at += step) {
      readSync(fd, byte, 0, 1, at);
      if (byte[0] === 0 && size > 100_000) continue;
      byte[0] = (byte[0] ?? 0) ^ 0x20;
      writeSync(fd, byte, 0, 1, at);
    }
  } finally {
    closeSync(fd);
  }
}

function layerFiles(root: string, name: string): readonly string[] {
  return filesBelow(join(root, "layers")).filter((path) => path.endsWith(`/${name}`));
}

function filesBelow(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.includes("/mounts/"));
}

function missingKernel(): string | undefined {
  return missingFuse() ?? (hasKernel(6, 9) ? undefined : "needs Linux 6.9");
}
