/**
 * The life of daemons, with real processes.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { createConnection } from "node:net";
import { constants } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { connectDaemon, type DaemonSettings, HOLDER_FLAGS, holderProgram } from "../../src/daemon/index.ts";
import { createClient, createUnixTransport, Snapshots } from "../../src/grpc/index.ts";
import { PLATFORM } from "../../src/lazyfs/image.fixture.ts";
import { formatPlatform, parseManifest } from "../../src/oci/index.ts";
import { freePort } from "../registry/free-port.ts";
import {
  isRunning,
  mountsBelow,
  serveSampleFiles,
  temporaryDaemonStore,
  type TestStore,
  until,
} from "./daemon-setup.ts";
import { hasKernel, missingFuse } from "./fuse-mounts.ts";

const LIMIT = { timeout: 300_000 };
const platform = formatPlatform(PLATFORM);

test("commands that come at once get one daemon, which ends when it is idle", LIMIT, async (t) => {
  const store = await temporaryDaemonStore(t);
  const clients = await Promise.all([1, 2, 3].map(() => store.connect({ idleExitMs: 1500 })));
  const infos = await Promise.all(clients.map((client) => client.info()));
  const [first] = infos;
  assert.ok(first !== undefined);
  assert.deepEqual(new Set(infos.map(({ holderPid }) => holderPid)), new Set([first.holderPid]));
  assert.equal(first.store, store.root);
  await until(() => !isRunning(first.holderPid) && !isRunning(first.pid), "the end of the idle daemon");
  assert.ok(!existsSync(join(store.root, "control.sock")));
  // A client that still has the name of it starts another one.
  const again = await clients[0]?.info();
  assert.notEqual(again?.holderPid, first.holderPid);
});

test("who comes just as a daemon has found that it is idle is served by the next one", LIMIT, async (t) => {
  const store = await temporaryDaemonStore(t);
  const { image, name } = await serveSampleFiles(t, { files: 8, size: 2_000_000 });
  // Long enough for what follows to come before it is over.
  const client = await store.connect({ idleExitMs: 3000 });
  const { holderPid } = await client.info();
  t.after(() => isRunning(holderPid) && process.kill(holderPid, "SIGCONT"));
  // The server says that nobody is there, and is told to end when somebody is.
  process.kill(holderPid, "SIGSTOP");
  const wasIdle = store.log().includes("nothing to do");
  await until(() => store.log().includes("nothing to do"), "idleness");
  // If it was over before, where the machine stood still, nobody would tell.
  const late = setTimeout(() => process.kill(holderPid, "SIGCONT"), 60_000);
  t.after(() => clearTimeout(late));
  let isTold = false;
  const onEvent = (): void => {
    if (!isTold) process.kill(holderPid, "SIGCONT");
    isTold = true;
  };
  const pulled = await client.pull({ reference: name, platform }, { onEvent });
  assert.ok(isTold || wasIdle);
  assert.equal(pulled.manifest, image.manifest);
  assert.ok(pulled.layers.every(({ present }) => present));
});

test("stores side by side have daemons of their own, however long their paths are", LIMIT, async (t) => {
  const store = await temporaryDaemonStore(t);
  const other = await temporaryDaemonStore(t);
  const long = { ...other, root: join(other.root, "d".repeat(120)) };
  mkdirSync(long.root, { recursive: true });
  const [a, b] = await Promise.all([
    store.connect(),
    connectDaemon({ store: long.root, start: { idleExitMs: 30_000 } }),
  ]);
  const [infoA, infoB] = [await a.info(), await b.info()];
  assert.notEqual(infoA.pid, infoB.pid);
  assert.equal(infoB.store, long.root);
  await b.stop();
  await until(() => !isRunning(infoB.holderPid));
  await b.close();
  assert.equal((await a.info()).pid, infoA.pid);
});

test("a second daemon on a store is refused, and says which process has it", LIMIT, async (t) => {
  const store = await temporaryDaemonStore(t);
  const { holderPid } = await (await store.connect()).info();
  const second = startHolder(t, store, {});
  const [code] = (await once(second.child, "exit")) as [number | null];
  assert.equal(code, 1);
  assert.match(second.output(), new RegExp(`expected none to run, got process ${holderPid}`));
});

test("a daemon that is told to end before it serves ends with its server", LIMIT, async (t) => {
  const store = await temporaryDaemonStore(t);
  const { child } = startHolder(t, store, {});
  // Without a pause: as soon as there is a socket, there is somebody who takes the signal.
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = (): unknown => (existsSync(join(store.root, "control.sock")) ? resolve() : setImmediate(look));
  look();
  await promise;
  child.kill("SIGTERM");
  await until(() => child.exitCode !== null, "the end of the holder");
  assert.equal(child.exitCode, 0);
  assert.ok(!existsSync(join(store.root, "control.sock")));
});

test("a command that is told to end before it has become a daemon becomes none", LIMIT, async (t) => {
  const store = await temporaryDaemonStore(t);
  const program = join(import.meta.dirname, "../../bin/esgz.js");
  const child = spawn(process.execPath, [program, "daemon", "--store", store.root], { stdio: "ignore" });
  t.after(() => child.kill("SIGKILL"));
  const { pid } = child;
  assert.ok(pid !== undefined);
  // As soon as the command handles signals itself, of which this is the last, they do not end it any more.
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = (): unknown => (handles(pid, constants.signals.SIGHUP) ? resolve() : setImmediate(look));
  look();
  await promise;
  child.kill("SIGTERM");
  await until(() => child.exitCode !== null || child.signalCode !== null, "the end of the command");
  assert.ok(!existsSync(join(store.root, "control.sock")));
});

function handles(pid: number, signal: number): boolean {
  const [, mask = "0"] = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return ((BigInt(`0x${mask}`) >> BigInt(signal - 1)) & 1n) === 1n;
}

test("where no daemon runs and none is to be started, that is said", LIMIT, async (t) => {
  const store = await temporaryDaemonStore(t);
  await assert.rejects(connectDaemon({ store: store.root }), {
    code: "DAEMON_UNAVAILABLE",
    message: `Cannot reach daemon of store "${store.root}": expected one to run, got none`,
  });
  assert.ok(!existsSync(store.root));
});

test("where no process can be started any more, that is said", LIMIT, async (t) => {
  const store = await temporaryDaemonStore(t);
  const program = join(import.meta.dirname, "../../bin/esgz.js");
  // As many descriptors as Node needs for itself.
  const script = 'ulimit -n 24; exec "$0" "$1" images --store "$2"';
  mkdirSync(store.root, { recursive: true });
  const { status, stderr } = spawnSync("sh", ["-c", script, process.execPath, program, store.root], {
    encoding: "utf8",
  });
  if (!stderr.includes("esgz: ")) return t.skip("Node needs more descriptors than that here");
  assert.match(stderr, /^esgz: Cannot start daemon of store ".*": expected a process, got spawn .*EMFILE/);
  assert.equal(status, 6);
});

test("what a daemon fails with at its start reaches the command that starts it", LIMIT, async (t) => {
  const store = await temporaryDaemonStore(t);
  const config = join(store.directory("etc"), "config.toml");
  await assert.rejects(store.connect({ configPath: config }), {
    code: "CONFIGURATION_INVALID",
    message: `Cannot read configuration "${config}": expected a file, got none`,
  });
  writeFileSync(config, '\njobs = "many"\n');
  await assert.rejects(store.connect({ configPath: config }), {
    code: "CONFIGURATION_INVALID",
    message: /config\.toml:2:1": expected a number from 1 to 256 for "jobs", got "many"/,
  });
  mkdirSync(store.root, { recursive: true });
  writeFileSync(join(store.root, "format"), "of another time\n");
  await assert.rejects(store.connect(), { code: "STORE_INVALID" });
  assert.ok(!existsSync(join(store.root, "control.sock")));
});

test("a daemon that serves goes on when its configuration breaks", LIMIT, async (t) => {
  const store = await temporaryDaemonStore(t);
  const config = join(store.directory("etc"), "config.toml");
  writeFileSync(config, 'quota = "1GiB"\nunknown = 1\n');
  const client = await store.connect({ configPath: config });
  assert.equal((await client.usage()).quotaBytes, 1_073_741_824);
  assert.match(store.log(), /config\.toml:2: unknown key \\"unknown\\" is ignored/);
  writeFileSync(config, "quota = -1\n");
  const { pid } = await client.info();
  await client.renew();
  await until(() => store.log().includes("no other server is started"), "the refusal");
  assert.equal((await client.info()).pid, pid);
  process.kill(pid, "SIGKILL");
  assert.equal((await client.usage()).quotaBytes, 1_073_741_824);
  assert.match(store.log(), /going on with the last one/);
});

test(
  "a pull fills the store, also from an image that is not lazy; images are listed, measured and pruned",
  LIMIT,
  async (t) => {
    const store = await temporaryDaemonStore(t);
    const lazy = await serveSampleFiles(t);
    const plain = await serveSampleFiles(t, { plain: true });
    const client = await store.connect();
    const events: string[] = [];
    const onEvent = ({ kind }: { readonly kind: string }): number => events.push(kind);
    const pulled = await client.pull({ reference: lazy.name, platform }, { onEvent });
    assert.equal(pulled.manifest, lazy.image.manifest);
    assert.ok(pulled.layers.every(({ present }) => present === true));
    assert.ok(pulled.fetchedBytes > 6 * 300_000);
    assert.ok(events.includes("progress"));
    const whole = await client.pull({ reference: plain.name, platform });
    assert.ok(whole.layers.every((layer) => !layer.lazy && layer.present === true));
    await lazy.line.cut();
    const again = await client.pull({ reference: lazy.name, platform, resolve: "missing" });
    assert.deepEqual([again.requests, again.fetchedBytes], [0, 0]);
    const images = await client.images();
    assert.deepEqual(new Set(images.map(({ name }) => name)), new Set([lazy.name, plain.name]));
    assert.ok(images.every(({ presentBytes, totalBytes }) => presentBytes === totalBytes && totalBytes > 0));
    const usage = await client.usage();
    assert.equal(usage.layers.length, 4);
    await client.removeImage(lazy.name);
    await assert.rejects(client.removeImage(lazy.name), { code: "IMAGE_NOT_FOUND" });
    const pruned = await client.prune();
    assert.equal(pruned.layers.length, 2);
    assert.deepEqual((await client.prune({ all: true })).images, [plain.name]);
    assert.deepEqual((await client.usage()).layers, []);
  },
);

test("a client that leaves ends its pull", LIMIT, async (t) => {
  const store = await temporaryDaemonStore(t);
  const { name } = await serveSampleFiles(t, { files: 8, size: 2_000_000 });
  const client = await store.connect();
  const leaving = new AbortController();
  const pull = client.pull(
    { reference: name, platform },
    {
      signal: leaving.signal,
      onEvent: ({ kind }) => kind === "progress" && leaving.abort(new Error("left")),
    },
  );
  await assert.rejects(pull, /left/);
  await until(async () => /^esgz_fetch_queue\{queue="transfers"\} 0$/m.test(await client.metrics()));
});

test("requests that are wrong are refused with a reason", LIMIT, async (t) => {
  const store = await temporaryDaemonStore(t);
  const client = await store.connect();
  await assert.rejects(client.pull({ reference: "" }), { code: "REQUEST_INVALID" });
  await assert.rejects(client.pull({ reference: "oci:relative" }), { code: "REFERENCE_INVALID" });
  await assert.rejects(client.mount({ reference: "app", directory: "relative" }), {
    code: "REQUEST_INVALID",
  });
  await assert.rejects(client.unmount("/nowhere"), { code: "FILE_NOT_FOUND" });
  const socket = createConnection(join(store.root, "control.sock"));
  socket.end("this is no HTTP\r\n\r\n");
  await socket.resume().toArray();
  assert.equal((await client.info()).restarts, 0);
});

test(
  "a daemon in the foreground tells its supervisor, serves metrics where it should, and ends on SIGTERM",
  LIMIT,
  async (t) => {
    const store = await temporaryDaemonStore(t);
    const config = join(store.directory("etc"), "config.toml");
    const address = `127.0.0.1:${await freePort()}`;
    writeFileSync(config, `[metrics]\nlisten = "${address}"\n`);
    const holder = startHolder(t, store, { configPath: config });
    const client = await waitFor(store);
    const { pid } = await client.info();
    const response = await fetch(`http://${address}/metrics`);
    assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
    assert.match(await response.text(), /^# TYPE esgz_stalls_total counter\nesgz_stalls_total 0$/m);
    // Anybody may ask for anything there; what goes wrong here is told.
    assert.equal((await fetch(`http://${address}/v1/info`)).status, 501);
    const [strange] = (await once(get(`http://${address}`, { path: "//" }), "response")) as [IncomingMessage];
    assert.equal(strange.resume().statusCode, 400);
    assert.ok(!holder.output().includes("a request failed"));
    const layers = join(store.root, "layers");
    renameSync(layers, `${layers}.away`);
    assert.equal((await fetch(`http://${address}/metrics`)).status, 500);
    await until(() => holder.output().includes("a request failed"), "a line of the log");
    renameSync(`${layers}.away`, layers);
    holder.child.kill("SIGTERM");
    const [code] = (await once(holder.child, "exit")) as [number | null];
    assert.equal(code, 0);
    assert.ok(!isRunning(pid));
    assert.ok(!existsSync(join(store.root, "control.sock")));
  },
);

test(
  "sockets that the configuration asks for later are there after SIGHUP, and those that cannot be are named",
  LIMIT,
  async (t) => {
    const store = await temporaryDaemonStore(t);
    const etc = store.directory("etc");
    const config = join(etc, "config.toml");
    writeFileSync(config, "");
    const holder = startHolder(t, store, { configPath: config, sockets: [] });
    const client = await waitFor(store);
    const first = await client.info();
    const path = join(etc, "run", "snapshots.sock");
    writeFileSync(config, `[snapshotter]\naddress = "${path}"\n`);
    holder.child.kill("SIGHUP");
    await until(() => existsSync(path), "the socket");
    using unix = createUnixTransport({ path });
    // The call waits in the socket until the server after the next takes it.
    const answers = createClient(Snapshots, unix.transport).list({ snapshotter: "stargz", filters: [] });
    for await (const { info } of answers) assert.deepEqual(info, []);
    const second = await client.info();
    assert.equal(second.holderPid, first.holderPid);

    const images = `[keychains]\ncri = "/nowhere"\ncri_listen = "${join(config, "images.sock")}"\n`;
    writeFileSync(config, `[snapshotter]\naddress = "${path}"\n${images}`);
    holder.child.kill("SIGHUP");
    await until(() => holder.output().includes("cannot open a socket"), "the failure");
    for await (const { info } of createClient(Snapshots, unix.transport).list({ filters: [] }))
      assert.deepEqual(info, []);
    const third = await client.info();
    assert.equal(third.restarts, second.restarts + 1, "nobody is started for a socket that is not there");
  },
);

test("layers that a container engine uses are in use, and others are not", LIMIT, async (t) => {
  const reason = missingFuse() ?? (hasKernel(6, 9) ? undefined : "needs Linux 6.9");
  if (reason !== undefined) return t.skip(reason);
  const store = await temporaryDaemonStore(t);
  const path = join(store.directory("run"), "snapshots.sock");
  const holder = startHolder(t, store, { sockets: [{ name: "snapshots", path }] });
  const client = await waitFor(store);
  const { image, name } = await serveSampleFiles(t);
  using unix = createUnixTransport({ path });
  const snapshots = createClient(Snapshots, unix.transport);
  const { layers } = parseManifest((await image.source.fetchRoot()).bytes);
  const [digest = ""] = layers.map((layer) => layer.digest);
  const remote = "containerd.io/snapshot/remote/stargz";
  const labels = {
    "containerd.io/snapshot.ref": "base",
    [`${remote}.reference`]: name,
    [`${remote}.digest`]: digest,
    [`${remote}.layers`]: digest,
  };
  await assert.rejects(snapshots.prepare({ key: "extract", labels }), /already exists/);
  await snapshots.prepare({ key: "container", parent: "base" });
  const [standing] = await client.mounts();
  assert.ok(standing !== undefined);
  // The kernel would let it go: nobody has anything open.
  await assert.rejects(client.stop(), { code: "PRECONDITION_FAILED", message: /nobody uses its mounts/ });
  await assert.rejects(client.unmount(standing.directory), { details: { errno: "EBUSY" } });
  assert.ok(mountsBelow(standing.directory).length > 0);
  await snapshots.remove({ key: "container" });
  await client.stop();
  const [code] = (await once(holder.child, "exit")) as [number | null];
  assert.equal(code, 0);
  assert.deepEqual(mountsBelow(store.root), []);
});

test("a daemon takes the socket that systemd has opened, and leaves it when it ends", LIMIT, async (t) => {
  const activate = "/usr/bin/systemd-socket-activate";
  if (!existsSync(activate)) return t.skip("needs systemd-socket-activate");
  const store = await temporaryDaemonStore(t);
  mkdirSync(store.root, { recursive: true });
  const path = join(store.root, "control.sock");
  const options = JSON.stringify({ settings: { store: store.root } });
  const child = spawn(
    activate,
    ["-l", path, "--fdname=control", process.execPath, ...HOLDER_FLAGS, holderProgram(), options],
    { stdio: "ignore" },
  );
  t.after(() => child.kill("SIGKILL"));
  await until(() => existsSync(path), "the socket");
  // The call itself starts the daemon.
  const client = await waitFor(store);
  assert.equal((await client.info()).holderPid, child.pid);
  await client.stop();
  const [code] = (await once(child, "exit")) as [number | null];
  assert.equal(code, 0);
  assert.ok(existsSync(path));
});

/** Starts a holder that does not end by itself, as the command for the foreground does. */
function startHolder(
  t: TestContext,
  store: TestStore,
  settings: Pick<DaemonSettings, "configPath" | "sockets">,
): { readonly child: ChildProcess; readonly output: () => string } {
  const options = JSON.stringify({ settings: { store: store.root, ...settings } });
  const child = spawn(process.execPath, [...HOLDER_FLAGS, holderProgram(), options], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  t.after(() => child.kill("SIGTERM"));
  let text = "";
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  return { child, output: () => text };
}

async function waitFor(store: TestStore): ReturnType<typeof connectDaemon> {
  let client: Awaited<ReturnType<typeof connectDaemon>> | undefined;
  await until(async () => {
    client = await connectDaemon({ store: store.root }).catch(() => undefined);
    return client !== undefined;
  }, "the start of the daemon");
  assert.ok(client !== undefined);
  return client;
}
