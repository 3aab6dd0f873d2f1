/**
 * Processes that are killed, and lines that are cut, under readers.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { PLATFORM } from "../../src/lazyfs/image.fixture.ts";
import { formatPlatform } from "../../src/oci/index.ts";
import { descriptorsOf } from "./daemon-leftovers.ts";
import { isRunning, mountsBelow, serveSampleFiles, temporaryDaemonStore, until } from "./daemon-setup.ts";
import { hasKernel, missingFuse } from "./fuse-mounts.ts";
import { killAgainAndAgain, ReadLoad } from "./kill-load.ts";
import { lookAt, readByCommand, writeConfig } from "./trust-setup.ts";

const LIMIT = { timeout: 300_000 };
const platform = formatPlatform(PLATFORM);
const LAZY = '[fetch]\ndeadline = "30s"\nbackground = false\nprefetch = false\n';

for (const view of ["auto", "tree"] as const) {
  test(`many readers see nothing of servers that are killed (${view})`, LIMIT, async (t) => {
    const reason = missingKernel();
    if (reason !== undefined) return t.skip(reason);
    const store = await temporaryDaemonStore(t);
    const { image, contents } = await serveSampleFiles(t, { files: 30, size: 150_000 });
    const client = await store.connect({ configPath: writeConfig(store, LAZY) });
    const directory = store.directory("mnt");
    await client.mount({ reference: image.name, platform, directory, view });
    const { holderPid } = await client.info();
    const before = descriptorsOf(holderPid);
    await using load = new ReadLoad(directory, { contents, readers: 4 });
    await killAgainAndAgain(client, { kills: 3, everyMs: 400 });
    const { failures, wrong, files } = await load.end();
    assert.deepEqual({ failures, wrong }, { failures: 0, wrong: [] });
    assert.ok(files >= 4 * 30);
    // Those of servers that have ended go when their ends are noticed.
    await until(() => descriptorsOf(holderPid) <= before, "the end of descriptors");
  });
}

test(
  "after mounts have come and gone, and servers too, nothing is held that was not before",
  LIMIT,
  async (t) => {
    const reason = missingKernel();
    if (reason !== undefined) return t.skip(reason);
    const store = await temporaryDaemonStore(t);
    const { image, contents } = await serveSampleFiles(t, { files: 4, size: 100_000 });
    const client = await store.connect({ configPath: writeConfig(store, LAZY) });
    const directory = store.directory("mnt");
    const round = async (view: "erofs-loop" | "auto" | "tree"): Promise<void> => {
      await client.mount({ reference: image.name, platform, directory, view, layered: view === "auto" });
      assert.deepEqual(await lookAt(directory, contents), { wrong: [], right: 4, errors: 0 });
      await client.unmount(directory);
    };
    await round("auto");
    await round("tree");
    const { pid, holderPid } = await client.info();
    const counts = (): readonly number[] => [descriptorsOf(pid), descriptorsOf(holderPid)];
    const before = counts();
    for (const view of ["auto", "tree", "auto", "tree"] as const) await round(view);
    await until(() => counts().every((count, at) => count <= (before[at] ?? 0)), "the end of descriptors");
    // Both are killed with a mount of each kind that stands.
    const second = store.directory("second");
    await client.mount({ reference: image.name, platform, directory, layered: true });
    await client.mount({ reference: image.name, platform, directory: second, view: "tree" });
    process.kill(holderPid, "SIGSTOP");
    process.kill(pid, "SIGKILL");
    process.kill(holderPid, "SIGKILL");
    await until(() => !isRunning(pid) && !isRunning(holderPid));
    const next = await store.connect();
    assert.equal((await next.mounts()).length, 2);
    for (const place of [directory, second]) {
      assert.deepEqual(await lookAt(place, contents), { wrong: [], right: 4, errors: 0 });
      await next.unmount(place);
    }
    assert.deepEqual(
      mountsBelow(store.root).filter((target) => target !== join(store.root, "fuse")),
      [],
    );
  },
);

test("a read waits while the registry is away, and ends when it is back", LIMIT, async (t) => {
  const reason = missingKernel();
  if (reason !== undefined) return t.skip(reason);
  const store = await temporaryDaemonStore(t);
  const { contents, name, line } = await serveSampleFiles(t, { files: 4 });
  const client = await store.connect({ configPath: writeConfig(store, LAZY) });
  const directory = store.directory("mnt");
  await client.mount({ reference: name, platform, directory });
  await line.cut();
  const [[file, content] = ["", Buffer.alloc(0)]] = contents;
  const reading = readByCommand(join(directory, file));
  await until(
    async () => (await client.mounts()).some(({ waiting }) => waiting.length > 0),
    "a reader that waits",
  );
  // Its server may go, too: the question stays.
  process.kill((await client.info()).pid, "SIGKILL");
  await client.info();
  await pause(500);
  await line.mend();
  assert.ok(content.equals(await reading));
  assert.match(await client.metrics(), /^esgz_read_errors_total 0$/m);
});

function missingKernel(): string | undefined {
  return missingFuse() ?? (hasKernel(6, 9) ? undefined : "needs Linux 6.9");
}
