/**
 * A program of this machine in an image that is not here: what its start reads comes before it is started.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, realpath } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import type { MountRequest, PullRequest, PullResult } from "../../src/daemon/index.ts";
import { estargzOf, PLATFORM, serveImage } from "../../src/lazyfs/image.fixture.ts";
import { formatPlatform } from "../../src/oci/index.ts";
import { type FileSpec, tarOf } from "../../src/tar/make-tar.fixture.ts";
import { temporaryDaemonStore, until } from "./daemon-setup.ts";
import { missingFuse } from "./fuse-mounts.ts";

const LIMIT = { timeout: 300_000 };
const PROGRAM = "/bin/cat";
const run = promisify(execFile);
/** Bytes in the program's layer that it does not read. */
const BESIDE_PROGRAM = 800_000;
/** How much of a layer is there is counted in blocks, and told in whole bytes of its blob. */
const BLOCK = 4096;
const SHARE_ERROR = 0.0001;

function missingProgram(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root, to change the root";
  return [PROGRAM, "/usr/sbin/chroot", "/usr/bin/ldd"]
    .find((path) => !existsSync(path))
    ?.concat(" is missing");
}

/** A program as the machine has it, with what `ldd` says that it loads; each file as large as it is here. */
async function programFiles(): Promise<readonly FileSpec[]> {
  const { stdout } = await run("/usr/bin/ldd", [PROGRAM]);
  const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path = ""]) => path);
  assert.ok(libraries.length >= 2, stdout);
  const paths = [PROGRAM, ...libraries];
  return await Promise.all(
    paths.map(async (path) => ({
      name: path.slice(1),
      mode: 0o755,
      content: await readFile(await realpath(path)),
    })),
  );
}

function blocksOf(size: number): number {
  return Math.ceil(size / BLOCK);
}

/**
 * An image of a program, of files that it does not read, one of them in the program's layer, and of a small layer; and a daemon that
 * has nothing of it.
 */
async function serveProgram(t: TestContext) {
  const store = await temporaryDaemonStore(t);
  const other = (size: number): FileSpec => ({ name: "data", content: randomBytes(size) });
  const files = await programFiles();
  const program = files.reduce((sum, { content = "" }) => sum + blocksOf(content.length), 0);
  const needed = program / (program + blocksOf(BESIDE_PROGRAM));
  const trees = [[other(4_000_000)], [...files, other(BESIDE_PROGRAM)], [other(200_000)]];
  const layers = await Promise.all(trees.map(async (files) => await estargzOf(tarOf(files))));
  const image = await serveImage(t, layers, { run: { Cmd: ["cat"] } });
  const client = await store.connect();
  const request = { reference: image.name, platform: formatPlatform(PLATFORM) };
  const mount = async (wanted: Partial<MountRequest>): Promise<string> =>
    (await client.mount({ ...request, background: false, ...wanted })).directory;
  const pull = async (wanted: Partial<PullRequest>): Promise<PullResult> =>
    await client.pull({ ...request, ...wanted });
  const stalls = async (): Promise<number> =>
    Number(/^esgz_stalls_total (\d+)$/m.exec(await client.metrics())?.[1]);
  const isThere = async (): Promise<readonly number[]> =>
    (await client.mounts())[0]?.layers.map(({ size, presentBytes }) => presentBytes / size) ?? [];
  /** Waits for all that the program reads and the small layer, of which nothing else is there. */
  const untilForeseen = async (): Promise<void> => {
    const isAll = async (): Promise<boolean> => ((await isThere())[1] ?? 0) > needed - SHARE_ERROR;
    await until(isAll, "what the program needs");
    await until(async () => (await isThere())[2] === 1, "the small layer");
    const [first, second = 1] = await isThere();
    assert.equal(first, 0);
    assert.ok(second < needed + SHARE_ERROR, `${second} of the program's layer, which has ${needed} of it`);
  };
  return { image, mount, pull, stalls, isThere, untilForeseen };
}

test("a program whose command is known before it is mounted starts without waiting", LIMIT, async (t) => {
  const reason = missingFuse() ?? missingProgram();
  if (reason !== undefined) return t.skip(reason);
  const { image, mount, stalls, untilForeseen } = await serveProgram(t);
  const directory = await mount({ start: { command: ["cat"] } });
  await untilForeseen();
  const asked = image.requests.length;
  const before = await stalls();
  const { stdout } = await run("/usr/sbin/chroot", [directory, PROGRAM, "--version"]);
  assert.match(stdout, /cat/);
  assert.equal(await stalls(), before);
  assert.equal(image.requests.length, asked);
});

test("nothing is foreseen where a user wants no prefetch", LIMIT, async (t) => {
  const reason = missingFuse() ?? missingProgram();
  if (reason !== undefined) return t.skip(reason);
  const { mount, stalls, isThere } = await serveProgram(t);
  const directory = await mount({ start: { command: [PROGRAM] }, prefetch: false });
  assert.deepEqual(await isThere(), [0, 0, 0]);
  assert.equal(await stalls(), 0);
  await run("/usr/sbin/chroot", [directory, PROGRAM, "--version"]);
  assert.ok((await stalls()) > 0);
});

test("a pull of what a start reads is enough to start it", LIMIT, async (t) => {
  const reason = missingFuse() ?? missingProgram();
  if (reason !== undefined) return t.skip(reason);
  const { image, mount, pull, stalls, untilForeseen } = await serveProgram(t);
  const pulled = await pull({ lazy: true, prefetch: true });
  assert.deepEqual(
    pulled.layers.map(({ present }) => present),
    [false, false, true],
  );
  const directory = await mount({ resolve: "missing", prefetch: false });
  await untilForeseen();
  const asked = image.requests.length;
  await run("/usr/sbin/chroot", [directory, PROGRAM, "--version"]);
  assert.equal(await stalls(), 0);
  assert.equal(image.requests.length, asked);
});
