/**
 * What a server does around its filesystem: waits, is interrupted, tells the kernel of changes, ends.
 */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { open, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import {
  mountFuse,
  serveFuse,
  type Filesystem,
  type FuseServer,
  type RequestContext,
} from "../../src/fuse/index.ts";
import { isEsgzError } from "../../src/errors/index.ts";
import {
  hasKernel,
  missingFuse,
  mountForTest,
  SAMPLE,
  serveSample,
  temporaryDirectory,
} from "./fuse-mounts.ts";

const LIMIT = { timeout: 120_000 };
const run = promisify(execFile);

/** A filesystem that answers deferred reads, and nothing else. */
function deferring(read: NonNullable<Filesystem["read"]>): Filesystem {
  return {
    getattr: () => {
      throw new Error("only reads are deferred");
    },
    read,
  };
}

test("a deferred read is answered by the thread that serves, while others go on", LIMIT, async (t) => {
  const reason = missingFuse();
  if (reason !== undefined) return t.skip(reason);
  const asked = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<Uint8Array>();
  const deferred = deferring(() => {
    asked.resolve();
    return gate.promise;
  });
  const { mount } = await serveSample(t, { deferred });
  const late = readFile(join(mount.target, "waiting"), "latin1");
  await asked.promise;
  assert.equal(await readFile(join(mount.target, "hello"), "utf8"), "hello, world\n");
  gate.resolve(new Uint8Array(4096).fill(0x78));
  assert.equal(await late, "x".repeat(4096));
});

test("a signal to a process that waits for a read aborts the read", LIMIT, async (t) => {
  const reason = missingFuse();
  if (reason !== undefined) return t.skip(reason);
  const asked = Promise.withResolvers<RequestContext>();
  const deferred = deferring((_node, _options, context) => {
    asked.resolve(context);
    return new Promise((_resolve, reject) => {
      context.signal.addEventListener("abort", () => reject(context.signal.reason), { once: true });
    });
  });
  const { mount } = await serveSample(t, { deferred });
  const reader = spawn("dd", [`if=${join(mount.target, "waiting")}`, "of=/dev/null"], {
    stdio: "ignore",
  });
  const context = await asked.promise;
  assert.equal(context.pid, reader.pid);
  reader.kill("SIGTERM");
  const [, signal] = (await once(reader, "exit")) as [number | null, string | null];
  assert.equal(signal, "SIGTERM");
  assert.ok(context.signal.aborted);
  assert.ok(isEsgzError(context.signal.reason, "ABORTED"));
});

test("a bug in a filesystem is EIO for the caller and a report for the host", LIMIT, async (t) => {
  const reason = missingFuse();
  if (reason !== undefined) return t.skip(reason);
  const reported = Promise.withResolvers<string>();
  const onError = (error: unknown, request: string): void => reported.resolve(`${request}: ${String(error)}`);
  const { mount } = await serveSample(t, { onError });
  await assert.rejects(readFile(join(mount.target, "broken")), { code: "EIO" });
  assert.match(await reported.promise, /READ: .*a bug in a filesystem/);
});

test("cached content stays until it is invalidated, and can be put there", LIMIT, async (t) => {
  const reason = missingFuse();
  if (reason !== undefined) return t.skip(reason);
  const [shared, reads] = [new SharedArrayBuffer(4096), new SharedArrayBuffer(4)];
  const { mount, server } = await serveSample(t, { sample: { shared, reads } });
  const place = join(mount.target, "shared");
  const firstByte = async (): Promise<number> => (await readFile(place))[0] ?? -1;
  const readCount = (): number => Atomics.load(new Int32Array(reads), 0);
  new Uint8Array(shared).fill(1);
  assert.equal(await firstByte(), 1);
  new Uint8Array(shared).fill(2);
  assert.equal(await firstByte(), 1);
  assert.equal(readCount(), 1);
  assert.equal(server.connection.invalidateInode(11, { offset: 0, size: 0 }), true);
  assert.equal(await firstByte(), 2);
  assert.equal(readCount(), 2);
  server.connection.invalidateInode(11, { offset: 0, size: 0 });
  assert.equal(server.connection.store(11, { offset: 0, bytes: new Uint8Array(4096).fill(3) }), true);
  assert.equal(await firstByte(), 3);
  assert.equal(readCount(), 2);
});

test("invalidating what the kernel does not know says so", LIMIT, async (t) => {
  const reason = missingFuse();
  if (reason !== undefined) return t.skip(reason);
  const { mount, server } = await serveSample(t);
  assert.equal(server.connection.invalidateInode(777, { offset: 0, size: 0 }), false);
  assert.equal(server.connection.invalidateEntry(1, "hello"), false);
  await stat(join(mount.target, "hello"));
  assert.equal(server.connection.invalidateEntry(1, "hello"), true);
});

test("the kernel reads a backing file by itself", LIMIT, async (t) => {
  const reason = missingFuse() ?? (hasKernel(6, 9) ? undefined : "needs Linux 6.9");
  if (reason !== undefined) return t.skip(reason);
  const backingFile = join(await temporaryDirectory(t), "backing");
  await writeFile(backingFile, new Uint8Array(4096).fill(0x62));
  const features = { passthrough: true };
  const { mount } = await serveSample(t, { features, sample: { backingFile } });
  // The server's own read of this file fails: nobody asks it.
  assert.equal(await readFile(join(mount.target, "backed"), "latin1"), "b".repeat(4096));
});

test("passthrough that was not agreed on is refused with a reason", LIMIT, async (t) => {
  const reason = missingFuse();
  if (reason !== undefined) return t.skip(reason);
  const { mount, server } = await serveSample(t);
  assert.throws(() => server.connection.openBacking(mount.fd), { code: "NOT_SUPPORTED" });
});

test("unmounting ends the server, twice is once", LIMIT, async (t) => {
  const reason = missingFuse();
  if (reason !== undefined) return t.skip(reason);
  const { mount, server } = await serveSample(t);
  assert.equal(await mount.isMounted(), true);
  await mount.unmount();
  assert.equal(await server.closed, "ended");
  assert.equal(await mount.isMounted(), false);
  await mount.unmount();
  await server.close();
});

test("a busy mount is not unmounted, unless lazily", LIMIT, async (t) => {
  const reason = missingFuse();
  if (reason !== undefined) return t.skip(reason);
  const { mount, server } = await serveSample(t);
  const file = await open(join(mount.target, "hello"));
  await assert.rejects(mount.unmount(), { code: "MOUNT_FAILED", details: { method: "call", errno: 16 } });
  await mount.unmount({ lazy: true });
  assert.equal(await mount.isMounted(), false);
  assert.equal(await file.readFile("utf8"), "hello, world\n");
  await file.close();
  assert.equal(await server.closed, "ended");
});

test("a server that stops answers first what it has, and another goes on", LIMIT, async (t) => {
  const reason = missingFuse();
  if (reason !== undefined) return t.skip(reason);
  const { mount, server } = await serveSample(t);
  await server.close();
  assert.equal(await server.closed, "stopped");
  const late = readFile(join(mount.target, "hello"), "utf8");
  const next = await serveFuse(mount.fd, { filesystem: SAMPLE, data: {}, negotiated: server.negotiated });
  t.after(() => next.close());
  assert.equal(await late, "hello, world\n");
});

test("an aborted signal stops the server", LIMIT, async (t) => {
  const reason = missingFuse();
  if (reason !== undefined) return t.skip(reason);
  const controller = new AbortController();
  const { server } = await serveSample(t, { signal: controller.signal });
  controller.abort();
  assert.equal(await server.closed, "stopped");
});

test("a module without a filesystem is refused", LIMIT, async (t) => {
  const reason = missingFuse();
  if (reason !== undefined) return t.skip(reason);
  const mount = await mountForTest(t);
  const filesystem = new URL("linux.ts", import.meta.url);
  const serving: Promise<FuseServer> = serveFuse(mount.fd, { filesystem });
  await assert.rejects(serving, /expected an export createFilesystem/);
});

test("a process exits while its threads wait for requests", LIMIT, async (t) => {
  const reason = missingFuse();
  if (reason !== undefined) return t.skip(reason);
  const mount = await mountForTest(t);
  const program = join(await temporaryDirectory(t), "server.ts");
  const source = `
    import { serveFuse } from ${JSON.stringify(new URL("../../src/fuse/index.ts", import.meta.url).href)};
    await serveFuse(3, { filesystem: new URL(${JSON.stringify(SAMPLE.href)}), data: {}, threads: 2 });
    process.exit(7);`;
  await writeFile(program, source);
  const child = spawn(process.execPath, [program], { stdio: ["ignore", "inherit", "inherit", mount.fd] });
  const [status] = (await once(child, "exit")) as [number | null];
  assert.equal(status, 7);
});

for (const method of ["call", "command", "fusermount"] as const) {
  test(`a mount made by "${method}" serves and goes, also when nobody serves it`, LIMIT, async (t) => {
    const reason = missingFuse();
    if (reason !== undefined) return t.skip(reason);
    const mount = await mountForTest(t, { method });
    const server = await serveFuse(mount.fd, { filesystem: SAMPLE, data: {} });
    t.after(() => server.close());
    assert.equal(await readFile(join(mount.target, "hello"), "utf8"), "hello, world\n");
    const { stdout } = await run("findmnt", ["-no", "FSTYPE,OPTIONS", mount.target]);
    assert.match(stdout, /^fuse\.esgz-test +ro,nosuid,nodev,/);
    await server.close();
    await mount.unmount();
    assert.equal(await mount.isMounted(), false);
  });
}

test("mounting on what is no directory fails with a reason", LIMIT, async (t) => {
  const reason = missingFuse();
  if (reason !== undefined) return t.skip(reason);
  const directory = await temporaryDirectory(t);
  await writeFile(join(directory, "file"), "");
  await assert.rejects(mountAt(join(directory, "none")), { code: "MOUNT_FAILED" });
  await assert.rejects(mountAt(join(directory, "file")), { code: "MOUNT_FAILED" });
  await assert.rejects(mountAt(join(directory, "file"), "command"), /expected mount to do it, got "/);
});

async function mountAt(target: string, method: "call" | "command" = "call"): Promise<void> {
  await using _mount = await mountFuse(target, { method });
}
