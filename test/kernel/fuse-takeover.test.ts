/**
 * Servers that are killed: another one takes over, and readers see a delay at most.
 */
import assert from "node:assert/strict";
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { beginSession, type FuseMount, type Negotiated, serveFuse } from "../../src/fuse/index.ts";
import { hasKernel, missingFuse, mountForTest, SAMPLE } from "./fuse-mounts.ts";
import { bigContent, type SampleOptions } from "./sample-filesystem.ts";

const LIMIT = { timeout: 240_000 };
const KILLS = 6;
const OFFSETS = [1_000_000, 2_000_000, 3_000_000];
const SIZE = 5000;

/** A child and the lines that it says. */
interface Process {
  readonly child: ChildProcess;
  /** Resolves when it has said a line for the n-th time, counted from 1. */
  readonly said: (line: string, times?: number) => Promise<void>;
  /** How often it has said a line. */
  readonly count: (line: string) => number;
  readonly exit: Promise<number | string | null>;
}

test("a read that a killed server had taken is answered by the next one", LIMIT, async (t) => {
  const reason = missingKernel();
  if (reason !== undefined) return t.skip(reason);
  const { mount, negotiated } = await hold(t);
  const first = startServer(t, { mount, negotiated, sample: { holdFrom: 1_000_000, directIo: true } });
  await first.said("ready");
  // By other processes: one that holds the device and waits for its own mount could not even be killed.
  const path = join(mount.target, "big");
  const reads = OFFSETS.map((offset) => readByCommand(path, offset));
  await first.said("holding", 3);
  first.child.kill("SIGKILL");
  assert.equal(await first.exit, "SIGKILL");
  const second = startServer(t, { mount, negotiated, sample: { directIo: true } });
  await second.said("ready");
  const contents = await Promise.all(reads);
  for (const [index, content] of contents.entries()) {
    assert.ok(content.equals(bigContent(OFFSETS[index] ?? 0, SIZE)));
  }
});

test("a read that fails after its server has stopped is left to the next one", LIMIT, async (t) => {
  const reason = missingKernel();
  if (reason !== undefined) return t.skip(reason);
  const { mount, negotiated } = await hold(t);
  const asked = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<Uint8Array>();
  const read = (): Promise<Uint8Array> => {
    asked.resolve();
    return gate.promise;
  };
  const deferred = { getattr: () => assert.fail("only reads are deferred"), read };
  const first = await serveFuse(mount.fd, { filesystem: SAMPLE, negotiated, deferred });
  const content = promisify(execFile)("head", ["-c", "4096", join(mount.target, "waiting")]);
  await asked.promise;
  await first.close();
  gate.reject(new Error("nobody brings it any more"));
  await gate.promise.catch(() => undefined);
  const answer = (): Uint8Array => new Uint8Array(4096).fill(0x78);
  await using _second = await serveFuse(mount.fd, {
    filesystem: SAMPLE,
    negotiated,
    deferred: { ...deferred, read: answer },
  });
  assert.ok((await content).stdout === "x".repeat(4096));
});

for (const directIo of [true, false]) {
  const how = directIo ? "past" : "through";
  test(
    `servers are killed again and again, and every byte read ${how} the page cache is right`,
    LIMIT,
    async (t) => {
      const reason = missingKernel();
      if (reason !== undefined) return t.skip(reason);
      const { mount, negotiated } = await hold(t);
      let server = startServer(t, { mount, negotiated, sample: { directIo } });
      await server.said("ready");
      const readers = [startReader(t, mount), startReader(t, mount)];
      for (let kill = 1; kill <= KILLS; kill += 1) {
        // The readers are in the middle of a round whenever one is over.
        await Promise.race(readers.map((reader) => reader.said("round", reader.count("round") + 1)));
        server.child.kill("SIGKILL");
        await server.exit;
        server = startServer(t, { mount, negotiated, sample: { directIo } });
        await server.said("ready");
      }
      for (const reader of readers) reader.child.stdin?.end();
      assert.deepEqual(await Promise.all(readers.map((reader) => reader.exit)), [0, 0]);
    },
  );
}

function missingKernel(): string | undefined {
  return missingFuse() ?? (hasKernel(6, 9) ? undefined : "needs Linux 6.9");
}

/** This process is the holder: it keeps the device, and serves nothing. */
async function hold(t: TestContext): Promise<{ readonly mount: FuseMount; readonly negotiated: Negotiated }> {
  const mount = await mountForTest(t);
  return { mount, negotiated: beginSession(mount.fd) };
}

async function readByCommand(path: string, offset: number): Promise<Buffer> {
  const bounds = [`skip=${offset}`, `count=${SIZE}`, "iflag=skip_bytes,count_bytes"];
  const parameters = [`if=${path}`, `bs=${SIZE}`, ...bounds, "status=none"];
  const { stdout } = await promisify(execFile)("dd", parameters, { encoding: "buffer" });
  return stdout;
}

function startServer(
  t: TestContext,
  options: { readonly mount: FuseMount; readonly negotiated: Negotiated; readonly sample: SampleOptions },
): Process {
  const { mount, negotiated, sample } = options;
  return start(t, {
    program: "fuse-server-process.ts",
    argument: JSON.stringify({ negotiated, sample }),
    inherit: mount.fd,
  });
}

function startReader(t: TestContext, mount: FuseMount): Process {
  return start(t, { program: "fuse-reader-process.ts", argument: join(mount.target, "big") });
}

function start(
  t: TestContext,
  options: { readonly program: string; readonly argument: string; readonly inherit?: number },
): Process {
  const program = join(import.meta.dirname, options.program);
  const inherited = options.inherit === undefined ? [] : [options.inherit];
  const child = spawn(process.execPath, [program, options.argument], {
    stdio: ["pipe", "pipe", "inherit", ...inherited],
  });
  t.after(() => child.kill("SIGKILL"));
  const exit = once(child, "exit").then(([status, signal]) => (status ?? signal) as number | string | null);
  const counts = new Map<string, number>();
  const lines = createInterface({ input: child.stdout ?? process.stdin });
  lines.on("line", (line) => void counts.set(line, (counts.get(line) ?? 0) + 1));
  const count = (line: string): number => counts.get(line) ?? 0;
  const said = async (line: string, times = 1): Promise<void> => {
    while (count(line) < times) {
      const ended = exit.then((status) =>
        assert.fail(`${options.program} ended with ${status} before it said "${line}"`),
      );
      await Promise.race([once(lines, "line"), ended]);
    }
  };
  return { child, said, count, exit };
}
