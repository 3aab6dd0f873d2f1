/**
 * Rooms that are small, layers that are shared, images that are shown without FUSE.
 */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { PLATFORM } from "../../src/lazyfs/image.fixture.ts";
import { formatPlatform } from "../../src/oci/index.ts";
import { connectDaemon } from "../../src/daemon/index.ts";
import { isRunning, serveSampleFiles, stopDaemon, temporaryDaemonStore, until } from "./daemon-setup.ts";
import { serveFaultyImage } from "./faulty-registry.ts";
import { hasKernel, missingFuse } from "./fuse-mounts.ts";
import { lookAt, writeConfig } from "./trust-setup.ts";

const LIMIT = { timeout: 300_000 };
const platform = formatPlatform(PLATFORM);
const run = promisify(execFile);
const LAZY = '[fetch]\ndeadline = "20s"\nbackground = false\nprefetch = false\n';

test("data of a mount without FUSE that was changed while no daemon ran is not shown", LIMIT, async (t) => {
  const reason = missingKernel();
  if (reason !== undefined) return t.skip(reason);
  const store = await temporaryDaemonStore(t);
  const image = await serveFaultyImage(t);
  const configPath = writeConfig(store, LAZY);
  const client = await store.connect({ configPath });
  const directory = store.directory("mnt");
  await client.pull({ reference: image.name, platform });
  const mount = await client.mount({ reference: image.name, platform, directory });
  assert.equal(mount.method, "local");
  const user = spawn("sleep", ["1000"], { cwd: directory, stdio: "ignore" });
  t.after(() => user.kill("SIGKILL"));
  await once(user, "spawn");
  const { pid, holderPid } = await client.info();
  // It is in use, and needs nobody: it stays.
  process.kill(holderPid, "SIGTERM");
  await until(() => !isRunning(pid) && !isRunning(holderPid));
  assert.equal((await lookAt(directory, image.contents)).right, 4);
  for (const { digest } of image.layers) {
    const file = openSync(join(store.root, "layers", digest.replace(":", "-"), "data"), "r+");
    writeSync(file, Buffer.from("others"), 0, 6, 5000);
    closeSync(file);
  }
  const next = await store.connect({ configPath });
  assert.deepEqual(await lookAt(directory, image.contents), { wrong: [], right: 4, errors: 0 });
  const [status] = await next.mounts();
  assert.notEqual(status?.method, "local");
  assert.match(store.log(), /"level":50.*what lies on the disk does not match its digest/);
  assert.match(await next.metrics(), /^esgz_verification_failures_total\{from="disk"\} [1-9]/m);
  user.kill("SIGKILL");
  await once(user, "exit");
});

test(
  "a layer of two images lies on the disk once, and chunks that another layer has are copied",
  LIMIT,
  async (t) => {
    const store = await temporaryDaemonStore(t);
    const shared = new Map([["shared", randomBytes(300_000)]]);
    const [one, two] = [randomBytes(200_000), randomBytes(200_000)];
    const first = await serveFaultyImage(t, { layers: [shared, new Map([["one", one]])] });
    // The second layer has a file of the first image under another name, beside one of its own.
    const second = await serveFaultyImage(t, {
      layers: [
        shared,
        new Map([
          ["other-name", one],
          ["two", two],
        ]),
      ],
    });
    const client = await store.connect();
    await client.pull({ reference: first.name, platform });
    const before = second.asked.length;
    const pulled = await client.pull({ reference: second.name, platform });
    assert.equal(pulled.copiedBytes, one.length);
    const { digest } = first.layers[0] ?? { digest: "" };
    assert.ok(second.asked.slice(before).every(({ name }) => name !== digest));
    const { layers } = await client.usage();
    assert.equal(layers.length, 3);
    assert.deepEqual(
      new Set(layers.find((layer) => layer.digest === digest)?.images),
      new Set([first.name, second.name]),
    );
    assert.match(await client.metrics(), /^esgz_copied_chunks_total [1-9]/m);
    if (missingKernel() !== undefined) return;
    const directory = store.directory("mnt");
    await client.mount({ reference: second.name, platform, directory });
    assert.deepEqual(await lookAt(directory, second.contents), { wrong: [], right: 3, errors: 0 });
  },
);

test(
  "a quota takes from what nothing mounts, and pruning leaves a mounted image what it needs",
  LIMIT,
  async (t) => {
    const reason = missingKernel();
    if (reason !== undefined) return t.skip(reason);
    const store = await temporaryDaemonStore(t);
    const images = [await serveFaultyImage(t), await serveFaultyImage(t), await serveFaultyImage(t)];
    const [mounted, idle, next] = images;
    assert.ok(mounted !== undefined && idle !== undefined && next !== undefined);
    // Two images fit. The first layer of a third takes more than one layer of another has, so both go, however much of what comes
    // is on the disk when room is made.
    const client = await store.connect({ configPath: writeConfig(store, `quota = "1800KiB"\n${LAZY}`) });
    const directory = store.directory("mnt");
    await client.mount({ reference: mounted.name, platform, directory });
    assert.equal((await lookAt(directory, mounted.contents)).right, 4);
    await client.pull({ reference: idle.name, platform });
    await client.pull({ reference: next.name, platform });
    assert.match(await client.metrics(), /^esgz_evictions_total [1-9]/m);
    const { layers } = await client.usage();
    const bytesOf = (image: typeof mounted): number =>
      layers
        .filter((layer) => image.layers.some(({ digest }) => digest === layer.digest))
        .reduce((sum, { diskBytes }) => sum + diskBytes, 0);
    assert.ok(bytesOf(mounted) > 800_000 && bytesOf(next) > 800_000 && bytesOf(idle) < 400_000);
    await client.removeImage(mounted.name);
    await client.prune({ all: true });
    assert.equal((await client.usage()).layers.length, 2);
    const { pid } = await client.info();
    process.kill(pid, "SIGKILL");
    assert.equal((await client.mounts()).length, 1);
    assert.deepEqual(await lookAt(directory, mounted.contents), { wrong: [], right: 4, errors: 0 });
  },
);

test("what is larger than the quota is refused, and leaves the store within it", LIMIT, async (t) => {
  const store = await temporaryDaemonStore(t);
  // More than are written at once, so that many wait for room when there is none left.
  const files = { files: 40, size: 300_000 };
  const [lazy, plain] = [
    await serveSampleFiles(t, files),
    await serveSampleFiles(t, { ...files, plain: true }),
  ];
  const client = await store.connect({ configPath: writeConfig(store, `quota = "8MiB"\n${LAZY}`) });
  const taken = async (): Promise<number> =>
    (await client.usage()).layers.reduce((sum, { diskBytes }) => sum + diskBytes, 0);
  await assert.rejects(client.pull({ reference: lazy.name, platform }), {
    code: "NO_SPACE",
    message: /"127\..*quota of 8388608 bytes, got 12\d{6} bytes/,
  });
  assert.ok((await taken()) < 1 << 20);
  await assert.rejects(client.pull({ reference: plain.name, platform }), { code: "NO_SPACE" });
  assert.ok((await taken()) <= 8 << 20);
  await client.prune({ all: true });
  // Each of its files takes a block, and most of a block each.
  for (let at = 0; at < 3; at += 1) {
    const small = await serveSampleFiles(t, { files: 700, size: 100 });
    await client.pull({ reference: small.name, platform });
    assert.ok((await taken()) <= 8 << 20);
  }
});

test("an image that is here is pulled again whatever the quota is now", LIMIT, async (t) => {
  const store = await temporaryDaemonStore(t);
  const { name } = await serveSampleFiles(t, { files: 4, size: 300_000 });
  const before = await store.connect();
  await before.pull({ reference: name, platform });
  await stopDaemon(store.root);
  const client = await store.connect({ configPath: writeConfig(store, `quota = "1MiB"\n${LAZY}`) });
  const { layers } = await client.pull({ reference: name, platform });
  assert.ok(layers.every(({ present }) => present === true));
});

test("a full disk is served from memory, with a warning, until there is room", LIMIT, async (t) => {
  const reason = missingKernel();
  if (reason !== undefined) return t.skip(reason);
  const outer = await temporaryDaemonStore(t);
  const small = outer.directory("small");
  try {
    await run("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", small]);
  } catch {
    return t.skip("needs a tmpfs of its own");
  }
  const root = join(small, "store");
  const image = await serveFaultyImage(t, { files: 6, size: 200_000 });
  const directory = outer.directory("mnt");
  try {
    const start = { idleExitMs: 60_000, configPath: writeConfig(outer, LAZY) };
    await using client = await connectDaemon({ store: root, start });
    await client.mount({ reference: image.name, platform, directory });
    const ballast = join(small, "ballast");
    writeFileSync(ballast, "");
    await run("sh", ["-c", `cat /dev/zero > ${ballast} || true`]).catch(() => undefined);
    assert.deepEqual(await lookAt(directory, image.contents), { wrong: [], right: 6, errors: 0 });
    assert.match(await client.metrics(), /^esgz_disk_full_total [1-9]/m);
    const [full] = await client.mounts();
    assert.ok((full?.presentBytes ?? 0) < (full?.totalBytes ?? 0));
    // A server that comes when the disk is full serves as well.
    process.kill((await client.info()).pid, "SIGKILL");
    assert.equal((await client.info()).mounts, 1);
    const [[name, content] = ["", Buffer.alloc(0)]] = image.contents;
    const past = 'dd if="$1" iflag=nocache count=0 status=none && cat "$1"';
    const { stdout } = await run("sh", ["-c", past, "sh", join(directory, name)], { encoding: "buffer" });
    assert.ok(content.equals(stdout));
    await rm(ballast);
    await client.pull({ reference: image.name, platform, resolve: "missing" });
    const [roomy] = await client.mounts();
    assert.equal(roomy?.presentBytes, roomy?.totalBytes);
    assert.deepEqual(await lookAt(directory, image.contents), { wrong: [], right: 6, errors: 0 });
  } finally {
    await stopDaemon(root);
    await run("umount", ["-l", small]);
  }
});

function missingKernel(): string | undefined {
  return missingFuse() ?? (hasKernel(6, 9) ? undefined : "needs Linux 6.9");
}
