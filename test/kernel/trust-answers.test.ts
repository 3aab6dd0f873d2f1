/**
 * Registries that answer wrongly: a reader gets an error or the right bytes, whatever way an image is shown.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { DaemonClient, MountRequest } from "../../src/daemon/index.ts";
import { PLATFORM } from "../../src/lazyfs/image.fixture.ts";
import { formatPlatform } from "../../src/oci/index.ts";
import { type TestStore, temporaryDaemonStore, until } from "./daemon-setup.ts";
import { type Asked, type Fault, type FaultyImage, serveFaultyImage } from "./faulty-registry.ts";
import { hasKernel, missingFuse } from "./fuse-mounts.ts";
import { lookAt, readByCommand, writeConfig } from "./trust-setup.ts";

const LIMIT = { timeout: 300_000 };
const platform = formatPlatform(PLATFORM);
/** Reads that cannot be answered end soon. */
const QUICK = '[fetch]\ndeadline = "3s"\nbackground = false\nprefetch = false\n';
/** Reads that can be answered are, however long this machine stands still. */
const PATIENT = QUICK.replace("3s", "30s");
/** Bytes of an eStargz footer, and more than the tables of these images take. */
const FOOTER = 51;

const WAYS: ReadonlyMap<string, Partial<MountRequest>> = new Map([
  ["erofs-file", { view: "erofs-file" }],
  ["erofs-loop", { view: "erofs-loop" }],
  ["a tree view", { view: "tree" }],
  ["an overlay of layers", { view: "erofs-file", layered: true }],
  ["a writable overlay", { view: "tree", writable: true }],
]);

for (const [way, request] of WAYS) {
  test(`wrong chunks of a registry are errors, never data, through ${way}`, LIMIT, async (t) => {
    const reason = missingKernel();
    if (reason !== undefined) return t.skip(reason);
    const { store, client, image } = await begin(t, { config: PATIENT });
    const directory = store.directory("mnt");
    const mount = { reference: image.name, platform, directory, ...request };
    const refused = await client.mount(mount).then(
      () => undefined,
      (error: Error) => error.message,
    );
    if (refused !== undefined) return t.skip(refused);
    // Every byte of every range is another.
    image.faultOf = ({ range }) => (range === undefined ? undefined : { kind: "flip", at: between(range) });
    assert.deepEqual(await lookAt(directory, image.contents), { wrong: [], right: 0, errors: 4 });
    const metrics = await client.metrics();
    assert.match(metrics, /^esgz_verification_failures_total\{from="registry"\} [1-9]/m);
    assert.match(metrics, /^esgz_read_errors_total [1-9]/m);
    assert.match(store.log(), /"level":50.*bytes do not match their digest/);
    image.faultOf = () => undefined;
    assert.deepEqual(await lookAt(directory, image.contents), { wrong: [], right: 4, errors: 0 });
  });
}

test("valid members of other content are errors, never data", LIMIT, async (t) => {
  const reason = missingKernel();
  if (reason !== undefined) return t.skip(reason);
  const { client, store, image } = await begin(t, { config: PATIENT });
  const directory = store.directory("mnt");
  await client.mount({ reference: image.name, platform, directory });
  image.faultOf = ({ range }) => (range === undefined ? undefined : { kind: "other-members" });
  assert.deepEqual(await lookAt(directory, image.contents), { wrong: [], right: 0, errors: 4 });
  assert.match(await client.metrics(), /^esgz_verification_failures_total\{from="registry"\} [1-9]/m);
  image.faultOf = () => undefined;
  assert.deepEqual(await lookAt(directory, image.contents), { wrong: [], right: 4, errors: 0 });
});

/** What is done to ranges of chunks. */
const LASTING_FAULTS: ReadonlyMap<string, Fault> = new Map<string, Fault>([
  ["a byte at the beginning of members", { kind: "flip", at: [0, 1, 2, 3] }],
  ["the place of bytes", { kind: "shift", by: 7 }],
  ["the range that is sent", { kind: "other-range", by: 4096 }],
  ["the length", { kind: "cut", after: 100 }],
  ["the status", { kind: "status", status: 404 }],
]);
const PASSING_FAULTS: ReadonlyMap<string, Fault> = new Map<string, Fault>([
  ["the length", { kind: "cut", after: 100 }],
  ["the place of bytes", { kind: "shift", by: 7 }],
  ["the status", { kind: "status", status: 500 }],
]);

test("while a range is wrong, a reader gets an error, and later all is well", LIMIT, async (t) => {
  const reason = missingKernel();
  if (reason !== undefined) return t.skip(reason);
  const files = LASTING_FAULTS.size * 2;
  const { store, client, image } = await begin(t, { files, size: 70_000, config: QUICK });
  const directory = store.directory("mnt");
  await client.mount({ reference: image.name, platform, directory });
  const names = backwards(image);
  for (const [at, [what, fault]] of [...LASTING_FAULTS].entries()) {
    image.faultOf = ({ range }) => (range === undefined ? undefined : fault);
    const found = await lookAt(directory, only(image, names[at]));
    if (fault.kind === "flip") assert.deepEqual(found.wrong, [], what);
    else assert.deepEqual(found, { wrong: [], right: 0, errors: 1 }, what);
  }
  image.faultOf = () => undefined;
  await until(async () => {
    const { wrong, right } = await lookAt(directory, image.contents);
    assert.deepEqual(wrong, []);
    return right === files;
  }, "right bytes of all files");
});

test("where a range was wrong once, a reader gets right bytes", LIMIT, async (t) => {
  const reason = missingKernel();
  if (reason !== undefined) return t.skip(reason);
  const files = PASSING_FAULTS.size * 2;
  const { store, client, image } = await begin(t, { files, size: 70_000, config: PATIENT });
  const directory = store.directory("mnt");
  await client.mount({ reference: image.name, platform, directory });
  const names = backwards(image);
  for (const [at, [what, fault]] of [...PASSING_FAULTS].entries()) {
    let times = 0;
    image.faultOf = ({ range }) => (range === undefined || times++ > 0 ? undefined : fault);
    const found = await lookAt(directory, only(image, names[at]));
    assert.deepEqual(found, { wrong: [], right: 1, errors: 0 }, what);
    assert.ok(times > 0, what);
  }
});

test("wrong indexes, manifests and configs are refused, and nothing of them is kept", LIMIT, async (t) => {
  const reason = missingKernel();
  if (reason !== undefined) return t.skip(reason);
  const { store, client, image } = await begin(t, { config: PATIENT });
  const directory = store.directory("mnt");
  const isLayer = (asked: Asked): boolean => image.layers.some(({ digest }) => digest === asked.name);
  const flips: ReadonlyMap<string, (asked: Asked) => Fault | undefined> = new Map([
    ["manifest", ({ kind }) => (kind === "manifest" ? { kind: "flip", at: [100, 200] } : undefined)],
    [
      "config",
      (asked) => (asked.kind === "blob" && !isLayer(asked) ? { kind: "flip", at: [10] } : undefined),
    ],
    ["footer", (asked) => flipOfLayer(image, asked, (size) => size - FOOTER + 20)],
    ["table of contents", (asked) => flipOfLayer(image, asked, (size) => size - FOOTER - 60)],
    // Who asks again goes on where it was cut.
    ["all but a tail", (asked) => (isLayer(asked) ? { kind: "cut", after: 10 } : undefined)],
  ]);
  for (const [what, faultOf] of flips) {
    image.faultOf = faultOf;
    await assert.rejects(client.mount({ reference: image.name, platform, directory }), Error, what);
    assert.deepEqual(await client.mounts(), [], what);
  }
  // A table that is wrong only where it is read first: the layer is read whole, and verified.
  image.faultOf = (asked) =>
    asked.range === undefined ? undefined : flipOfLayer(image, asked, (size) => size - FOOTER - 60);
  const mount = await client.mount({ reference: image.name, platform, directory });
  assert.ok(mount.layers.every(({ lazy }) => !lazy));
  assert.deepEqual(await lookAt(directory, image.contents), { wrong: [], right: 4, errors: 0 });
});

test("a pull takes no wrong byte: it fails, and can be repeated", LIMIT, async (t) => {
  const { client, image } = await begin(t, { config: PATIENT });
  image.faultOf = (asked) => flipOfLayer(image, asked, () => 70_000);
  await assert.rejects(client.pull({ reference: image.name, platform }), { code: "DIGEST_MISMATCH" });
  image.faultOf = () => undefined;
  const pulled = await client.pull({ reference: image.name, platform });
  assert.ok(pulled.layers.every(({ present }) => present === true));
  const [usage] = (await client.usage()).layers;
  assert.ok(usage !== undefined);
});

test("tokens and redirects that expire are renewed, and no reader sees it", LIMIT, async (t) => {
  const reason = missingKernel();
  if (reason !== undefined) return t.skip(reason);
  const { store, client, image } = await begin(t, { files: 6, size: 70_000, config: PATIENT });
  image.gate.token = "first";
  image.gate.place = "here";
  const directory = store.directory("mnt");
  await client.mount({ reference: image.name, platform, directory });
  const names = backwards(image);
  const read = async (at: number): Promise<void> => {
    const name = names[at] ?? "";
    assert.ok(image.contents.get(name)?.equals(await readByCommand(join(directory, name))), name);
  };
  await read(0);
  const { tokensGiven, redirects } = image.gate;
  assert.ok(tokensGiven > 0 && redirects > 0);
  // The place where blobs were is no longer good.
  image.gate.place = "there";
  await read(1);
  assert.ok(image.gate.refused > 0 && image.gate.redirects > redirects);
  // Nor is the token, nor the place.
  const { refused } = image.gate;
  image.gate.token = "second";
  image.gate.place = "elsewhere";
  await read(2);
  assert.ok(image.gate.refused > refused && image.gate.tokensGiven > tokensGiven);
  image.gate.token = "third";
  image.gate.place = undefined;
  await read(3);
  // Another server begins without either.
  process.kill((await client.info()).pid, "SIGKILL");
  image.gate.token = "fourth";
  for (let at = 0; at < names.length; at += 1) await read(at);
  assert.match(await client.metrics(), /^esgz_read_errors_total 0$/m);
});

async function begin(
  t: TestContext,
  options: { readonly files?: number; readonly size?: number; readonly config: string },
): Promise<{ readonly store: TestStore; readonly client: DaemonClient; readonly image: FaultyImage }> {
  const store = await temporaryDaemonStore(t);
  const image = await serveFaultyImage(t, options);
  const client = await store.connect({ configPath: writeConfig(store, options.config) });
  return { store, client, image };
}

/** The last file first, so that nothing is read ahead. */
function backwards({ contents }: FaultyImage): readonly string[] {
  return [...contents.keys()].toReversed();
}

function only({ contents }: FaultyImage, name = ""): ReadonlyMap<string, Buffer> {
  return new Map([[name, contents.get(name) ?? Buffer.alloc(0)]]);
}

function between([first, last]: readonly [number, number]): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, at) => first + at);
}

function flipOfLayer(image: FaultyImage, asked: Asked, at: (size: number) => number): Fault | undefined {
  const layer = image.layers.find(({ digest }) => digest === asked.name);
  return layer === undefined ? undefined : { kind: "flip", at: [at(layer.blob.length)] };
}

function missingKernel(): string | undefined {
  return missingFuse() ?? (hasKernel(6, 9) ? undefined : "needs Linux 6.9");
}
