/**
 * Mounts of a daemon whose processes are killed, through the kernel.
 */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { hash } from "node:crypto";
import { once } from "node:events";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import type { ControlEvent, DaemonClient } from "../../src/daemon/index.ts";
import { estargzOf, PLATFORM, serveImage } from "../../src/lazyfs/image.fixture.ts";
import { formatPlatform } from "../../src/oci/index.ts";
import { tarOf } from "../../src/tar/make-tar.fixture.ts";
import { isRunning, mountsBelow, serveSampleFiles, temporaryDaemonStore, until } from "./daemon-setup.ts";
import { hasKernel, missingFuse } from "./fuse-mounts.ts";

const LIMIT = { timeout: 300_000 };
const platform = formatPlatform(PLATFORM);
const run = promisify(execFile);

/** Reads a file by another process: one that waits for its own mount could not be ended. */
async function readByCommand(path: string): Promise<Buffer> {
  const { stdout } = await run("cat", [path], { encoding: "buffer", maxBuffer: 64 << 20 });
  return stdout;
}

test("what was announced is asked for once, and given up by who leaves", LIMIT, async (t) => {
  const reason = missingFuse();
  if (reason !== undefined) return t.skip(reason);
  const store = await temporaryDaemonStore(t);
  const { image } = await serveSampleFiles(t);
  const client = await store.connect();
  const asked = (): string[] =>
    image.requests.map(({ url }) => url).filter((url) => url.includes("/manifests/"));
  const request = { reference: image.name, platform, ownerPid: process.pid };
  const say = async (): Promise<Socket> => {
    const before = asked().length;
    const socket = connect(join(store.root, "control.sock"));
    const body = JSON.stringify(request);
    socket.write(
      `POST /v1/announcements HTTP/1.1\r\nhost: esgz\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await until(() => asked().length > before);
    return socket;
  };
  const announcing = await say();
  const { id } = await client.mount({ ...request, directory: store.directory("mnt"), background: false });
  assert.equal(asked().length, new Set(asked()).size);
  announcing.destroy();
  await client.unmount(id, { ownerPid: process.pid });

  (await say()).destroy();
  // It waits for whoever prepares an image.
  await client.prune({ all: true });
  // A server that ends waits for no announcement.
  const stays = await say();
  await client.renew();
  await until(async () => (await client.info()).restarts === 1);
  stays.destroy();
  assert.deepEqual(await client.mounts(), []);
});

test("an image is mounted before it is there, and its files are right", LIMIT, async (t) => {
  const reason = missingFuse();
  if (reason !== undefined) return t.skip(reason);
  const store = await temporaryDaemonStore(t);
  const { image, contents } = await serveSampleFiles(t);
  const client = await store.connect();
  const directory = store.directory("mnt");
  const events: string[] = [];
  const mount = await client.mount(
    { reference: image.name, platform, directory, background: false },
    { onEvent: ({ kind }) => events.push(kind) },
  );
  assert.equal(mount.directory, directory);
  assert.equal(mount.layers.length, 2);
  assert.deepEqual(events, ["resolved", "layer", "layer", "indexed"]);
  const [before] = await client.mounts();
  assert.equal(before?.presentBytes, 0);
  for (const [name, content] of contents)
    assert.ok(content.equals(await readByCommand(join(directory, name))));
  const [status] = await client.mounts();
  assert.ok(status !== undefined && status.presentBytes === status.totalBytes);
  assert.match(await client.metrics(), /^esgz_mounts\{method="(erofs-file|erofs-loop|tree)"\} 1$/m);
  await client.unmount(directory);
  assert.deepEqual(mountsBelow(directory), []);
  assert.deepEqual(await client.mounts(), []);
});

test(
  "what the store has is mounted when its registry says nothing, and what it lacks is waited for",
  LIMIT,
  async (t) => {
    const reason = missingFuse();
    if (reason !== undefined) return t.skip(reason);
    const store = await temporaryDaemonStore(t);
    const { contents, image, line, name } = await serveSampleFiles(t);
    const other = await serveSampleFiles(t);
    const client = await store.connect();
    await client.pull({ reference: name, platform });
    await Promise.all([line.hush(), other.line.hush()]);
    const notes: string[] = [];
    const onEvent = (event: ControlEvent): void => void (event.kind === "note" && notes.push(event.text));
    const directory = store.directory("mnt");
    const mounted = await client.mount({ reference: name, platform, directory }, { onEvent });
    assert.match(notes.join("\n"), /within 5 s, got none; this is the image that the store has/);
    assert.deepEqual(await readByCommand(join(directory, "file0")), contents.get("file0"));
    await client.unmount(mounted.id);

    // Who wants what the store has is not told of a registry.
    notes.length = 0;
    const missing = { reference: name, platform, directory, resolve: "missing" } as const;
    const again = await client.mount(missing, { onEvent });
    assert.equal(notes.join(""), "");
    await client.unmount(again.id);

    // A mirror that says nothing has no more time than its turn.
    const registry = { mirror: [`127.0.0.1:${image.server.port}=http://127.0.0.1:${line.port}`] };
    const mirrored = { reference: image.name, platform, directory, registry };
    await line.cut();
    await line.mend();
    await client.pull(mirrored);
    await line.hush();
    notes.length = 0;
    const elsewhere = await client.mount(mirrored, { onEvent });
    assert.doesNotMatch(notes.join("\n"), /the image that the store has/);
    await client.unmount(elsewhere.id);

    const lacking = client.mount({ reference: other.name, platform, directory }, { onEvent });
    await until(() => notes.some((text) => text.includes("trying on")));
    await other.line.cut();
    await other.line.mend();
    const { id, manifest } = await lacking;
    assert.equal(manifest, other.image.manifest);
    await client.unmount(id);
  },
);

test(
  "the server is killed again and again while files are read, and no reader sees an error",
  LIMIT,
  async (t) => {
    const mounted = await mountSample(t, { files: 40, size: 150_000 });
    if (mounted === undefined) return;
    const { contents, client, directory } = mounted;
    const load = startReading(directory, contents);
    let { pid, holderPid } = await client.info();
    for (let kill = 0; kill < 6; kill += 1) {
      process.kill(pid, "SIGKILL");
      const killed = pid;
      // The call waits in the socket, which the holder keeps, until the next server answers.
      const info = await client.info();
      assert.notEqual(info.pid, killed);
      assert.equal(info.holderPid, holderPid);
      assert.equal(info.mounts, 1);
      ({ pid, holderPid } = info);
    }
    assert.deepEqual(await load.end(), { status: 0, wrong: [] });
    assert.equal((await client.info()).restarts, 6);
  },
);

test("another server takes over on SIGHUP, and on request", LIMIT, async (t) => {
  const mounted = await mountSample(t, { files: 20 });
  if (mounted === undefined) return;
  const { store, contents, client, directory } = mounted;
  const load = startReading(directory, contents);
  const first = await client.info();
  process.kill(first.holderPid, "SIGHUP");
  await until(async () => (await client.info()).pid !== first.pid, "another server");
  const second = await client.info();
  await client.renew();
  await until(async () => (await client.info()).pid !== second.pid, "a third server");
  assert.equal((await client.info()).holderPid, first.holderPid);
  assert.deepEqual(await load.end(), { status: 0, wrong: [] });
  assert.doesNotMatch(store.log(), /"level":50/);
});

test(
  "a pull and a mount that last longer than the grace of a reload go on with the next server",
  LIMIT,
  async (t) => {
    const reason = missingKernel();
    if (reason !== undefined) return t.skip(reason);
    const store = await temporaryDaemonStore(t);
    const { image, contents } = await serveSampleFiles(t, { files: 40, size: 150_000 });
    const configPath = join(store.directory("etc"), "config.toml");
    await writeFile(configPath, '[daemon]\ngrace = "0s"\n');
    const client = await store.connect({ configPath });
    const directory = store.directory("mnt");
    for (const work of ["mount", "pull"] as const) {
      const first = await client.info();
      let renewed: Promise<void> | undefined;
      const onEvent = ({ kind }: ControlEvent): void => {
        if (kind === "resolved") renewed ??= client.renew();
      };
      const request = { reference: image.name, platform };
      if (work === "mount") await client.mount({ ...request, directory, background: false }, { onEvent });
      else assert.equal((await client.pull(request, { onEvent })).manifest, image.manifest);
      await renewed;
      await until(async () => (await client.info()).pid !== first.pid, "another server");
    }
    for (const [name, content] of contents)
      assert.ok(content.equals(await readByCommand(join(directory, name))));
  },
);

test("a holder that is killed gets a successor, and mounts stay", LIMIT, async (t) => {
  const mounted = await mountSample(t, { files: 20 });
  if (mounted === undefined) return;
  const { contents, client, directory } = mounted;
  const load = startReading(directory, contents);
  const first = await client.info();
  process.kill(first.holderPid, "SIGKILL");
  await until(() => !isRunning(first.pid), "the end of the server that was left");
  const second = await client.info();
  assert.notEqual(second.holderPid, first.holderPid);
  assert.equal(second.mounts, 1);
  assert.deepEqual(await load.end(), { status: 0, wrong: [] });
  process.kill(second.pid, "SIGKILL");
  assert.equal((await client.info()).mounts, 1);
});

test("when holder and server are killed, the next daemon makes the mounts again", LIMIT, async (t) => {
  const mounted = await mountSample(t);
  if (mounted === undefined) return;
  const { store, contents, client, directory } = mounted;
  await killDaemon(client);
  const next = await store.connect();
  assert.deepEqual(
    (await next.mounts()).map((mount) => mount.directory),
    [directory],
  );
  for (const [name, content] of contents)
    assert.ok(content.equals(await readByCommand(join(directory, name))));
});

test("mounts and unmounts under way when the server is killed are done by the next one", LIMIT, async (t) => {
  const reason = missingKernel();
  if (reason !== undefined) return t.skip(reason);
  const store = await temporaryDaemonStore(t);
  const { image, contents } = await serveSampleFiles(t);
  const client = await store.connect();
  const directory = store.directory("mnt");
  let { pid } = await client.info();
  const request = { id: "00c0ffee00c0ffee", reference: image.name, platform, background: false };
  const onEvent = ({ kind }: ControlEvent): void => {
    if (kind !== "resolved" || pid === 0) return;
    process.kill(pid, "SIGKILL");
    pid = 0;
  };
  const mount = await client.mount({ ...request, directory }, { onEvent });
  assert.equal(mount.id, request.id);
  const [name, content] = [...contents][0] ?? ["", Buffer.of()];
  assert.ok(content.equals(await readByCommand(join(directory, name))));
  // One whose answer was lost is asked for again.
  const again = await client.mount({ ...request, directory, background: true });
  assert.equal(again.directory, directory);
  assert.deepEqual(
    (await client.mounts()).map(({ id }) => id),
    [request.id],
  );
  await assert.rejects(client.mount({ ...request, id: "0123456789abcdef", directory }), {
    code: "ALREADY_EXISTS",
  });
  for (let kill = 0; kill < 2; kill += 1) {
    const { id } =
      kill === 0 ? again : await client.mount({ reference: image.name, platform, background: false });
    ({ pid } = await client.info());
    const ended = client.unmount(id);
    if (kill % 2 === 1) await new Promise((soon) => setTimeout(soon, 10));
    process.kill(pid, "SIGKILL");
    await ended;
    assert.deepEqual(await client.mounts(), []);
  }
  await assert.rejects(client.unmount(request.id), { code: "FILE_NOT_FOUND" });
});

test("mounts that lie on others are made again at their places, too", LIMIT, async (t) => {
  const reason = missingKernel();
  if (reason !== undefined) return t.skip(reason);
  const store = await temporaryDaemonStore(t);
  const { image, contents } = await serveSampleFiles(t);
  const client = await store.connect();
  const directories: string[] = [];
  // Their ids are random, and tell nothing of their order.
  for (let directory = store.directory("mnt"); directories.length < 5; directory = join(directory, "inner")) {
    if (directories.length > 0) await mkdir(directory);
    await client.mount({
      reference: image.name,
      platform,
      directory,
      writable: directories.length < 4,
      background: false,
    });
    directories.push(directory);
  }
  await killDaemon(client);
  const next = await store.connect();
  assert.deepEqual(
    (await next.mounts()).map((mount) => mount.directory),
    directories,
  );
  const [name, content] = [...contents][0] ?? ["", Buffer.of()];
  for (const directory of directories) assert.ok(content.equals(await readByCommand(join(directory, name))));
});

test(
  "a daemon that starts with its registry down serves what it has, and heals when it is back",
  LIMIT,
  async (t) => {
    const reason = missingKernel();
    if (reason !== undefined) return t.skip(reason);
    const store = await temporaryDaemonStore(t);
    const { image, contents, name, line } = await serveSampleFiles(t);
    const config = join(store.directory("etc"), "config.toml");
    await writeFile(config, '[fetch]\ndeadline = "6s"\nbackground = false\n');
    const client = await store.connect({ configPath: config });
    const directory = store.directory("mnt");
    await client.mount({ reference: name, platform, directory });
    const [first, second] = [...contents];
    assert.ok(first !== undefined && second !== undefined);
    await readByCommand(join(directory, first[0]));
    await line.cut();
    const { pid } = await client.info();
    process.kill(pid, "SIGKILL");
    await until(async () => (await client.info()).pid !== pid, "another server");
    assert.ok(first[1].equals(await readByCommand(join(directory, first[0]))));
    const last = [...contents].at(-1);
    assert.ok(last !== undefined);
    await assert.rejects(readByCommand(join(directory, last[0])), /Input\/output error/);
    assert.match(await client.metrics(), /^esgz_read_errors_total [1-9]/m);
    const pulled = await client.pull({ reference: name, platform, lazy: true });
    assert.equal(pulled.manifest, image.manifest);
    await line.mend();
    // A read that another one had begun before may still fail with it; what is read is right.
    const isRead = async (): Promise<boolean> => {
      const bytes = await readByCommand(join(directory, last[0])).catch(() => undefined);
      assert.ok(bytes === undefined || last[1].equals(bytes));
      return bytes !== undefined;
    };
    await until(isRead, "the bytes of the file");
  },
);

test("SIGTERM ends the daemon with its mounts, those in use included", LIMIT, async (t) => {
  const reason = missingKernel();
  if (reason !== undefined) return t.skip(reason);
  const store = await temporaryDaemonStore(t);
  const { image } = await serveSampleFiles(t);
  const client = await store.connect();
  const [unused, used] = [store.directory("unused"), store.directory("used")];
  await client.mount({ reference: image.name, platform, directory: unused, background: false });
  await client.mount({ reference: image.name, platform, directory: used, background: false });
  const user = spawn("sleep", ["1000"], { cwd: used, stdio: "ignore" });
  t.after(() => user.kill("SIGKILL"));
  await once(user, "spawn");
  const { pid, holderPid } = await client.info();
  await assert.rejects(client.stop(), { code: "PRECONDITION_FAILED", message: /nobody uses its mounts/ });
  assert.deepEqual(
    (await client.mounts()).map(({ directory }) => directory),
    [used],
  );
  process.kill(holderPid, "SIGTERM");
  await until(() => !isRunning(pid) && !isRunning(holderPid));
  assert.deepEqual([...mountsBelow(used), ...mountsBelow(unused), ...mountsBelow(store.root)], []);
});

test("SIGTERM ends the mounts also while one server ends and another one is to go on", LIMIT, async (t) => {
  const mounted = await mountSample(t);
  if (mounted === undefined) return;
  const { store, client, directory } = mounted;
  const { pid, holderPid } = await client.info();
  // A server that was accepted lets a request arrive before it ends.
  const caller = connect(join(store.root, "control.sock"));
  caller.on("error", () => undefined);
  caller.write("GET /v1/info HTTP/1.1\r\n");
  await client.info();
  process.kill(holderPid, "SIGHUP");
  await until(() => store.log().includes('"end":"retire"'), "the end of the server");
  process.kill(holderPid, "SIGTERM");
  caller.destroy();
  await until(() => !isRunning(pid) && !isRunning(holderPid));
  assert.deepEqual([...mountsBelow(directory), ...mountsBelow(store.root)], []);
});

test("a mount goes with the process that owns it, whatever server looks after it then", LIMIT, async (t) => {
  const reason = missingKernel();
  if (reason !== undefined) return t.skip(reason);
  const store = await temporaryDaemonStore(t);
  const { image } = await serveSampleFiles(t);
  const client = await store.connect();
  const owner = spawn("sleep", ["1000"], { stdio: "ignore" });
  t.after(() => owner.kill("SIGKILL"));
  await once(owner, "spawn");
  const { directory } = await client.mount({
    reference: image.name,
    platform,
    ownerPid: owner.pid ?? 0,
    writable: true,
  });
  await writeFile(join(directory, "new"), "text");
  process.kill((await client.info()).pid, "SIGKILL");
  assert.equal((await client.mounts()).length, 1);
  owner.kill("SIGKILL");
  await until(async () => (await client.mounts()).length === 0, "the end of the mount");
  assert.deepEqual(
    mountsBelow(store.root).filter((target) => target !== join(store.root, "fuse")),
    [],
  );
});

/** Sample files, mounted by a daemon that fetches nothing ahead; undefined, and the test skipped, where the kernel cannot. */
async function mountSample(
  t: TestContext,
  options: Parameters<typeof serveSampleFiles>[1] = {},
): Promise<MountedSample | undefined> {
  const reason = missingKernel();
  if (reason !== undefined) {
    t.skip(reason);
    return undefined;
  }
  const store = await temporaryDaemonStore(t);
  const { image, contents } = await serveSampleFiles(t, options);
  const client = await store.connect();
  const directory = store.directory("mnt");
  await client.mount({ reference: image.name, platform, directory, background: false });
  return { store, client, directory, contents };
}

/** Kills holder and server, the holder while it cannot notice that the server ends. */
async function killDaemon(client: DaemonClient): Promise<void> {
  const { pid, holderPid } = await client.info();
  process.kill(holderPid, "SIGSTOP");
  process.kill(pid, "SIGKILL");
  process.kill(holderPid, "SIGKILL");
  await until(() => !isRunning(pid) && !isRunning(holderPid));
}

interface MountedSample {
  readonly store: Awaited<ReturnType<typeof temporaryDaemonStore>>;
  readonly client: DaemonClient;
  readonly directory: string;
  readonly contents: ReadonlyMap<string, Buffer>;
}

function missingKernel(): string | undefined {
  return missingFuse() ?? (hasKernel(6, 9) ? undefined : "needs Linux 6.9");
}

/** Reads all files again and again, past the page cache, by a process that says the digests. */
function startReading(
  directory: string,
  contents: ReadonlyMap<string, Buffer>,
): { readonly end: () => Promise<{ readonly status: unknown; readonly wrong: readonly string[] }> } {
  const program = `
    while ! read -t 0.01 stop; do
      for file in *; do
        dd if=$file iflag=nocache count=0 status=none || exit 1
        sha256sum $file || exit 1
      done
    done`;
  const child = spawn("bash", ["-c", program], { cwd: directory, stdio: ["pipe", "pipe", "inherit"] });
  const output = child.stdout.toArray();
  const sums = new Set([...contents].map(([name, content]) => `${hash("sha256", content)}  ${name}`));
  return {
    end: async () => {
      child.stdin.write("stop\n");
      const [[status], chunks] = await Promise.all([once(child, "exit"), output]);
      const lines = Buffer.concat(chunks as Buffer[])
        .toString()
        .trim()
        .split("\n");
      return { status: status as unknown, wrong: lines.filter((line) => !sums.has(line)) };
    },
  };
}

test(
  "a layer whose root is opaque hides those below it, merged and as a layer over layers",
  LIMIT,
  async (t) => {
    const reason = missingKernel();
    if (reason !== undefined) return t.skip(reason);
    const store = await temporaryDaemonStore(t);
    const trees = [["below"], [".wh..wh..opq", "middle"], ["above"]];
    const layers = trees.map(async (names) => await estargzOf(tarOf(names.map((name) => ({ name })))));
    const image = await serveImage(t, await Promise.all(layers));
    const client = await store.connect();
    for (const layered of [false, true]) {
      const directory = store.directory(`layered-${layered}`);
      await client.mount({ reference: image.name, platform, directory, layered });
      assert.deepEqual(await readdir(directory), ["above", "middle"]);
    }
  },
);
