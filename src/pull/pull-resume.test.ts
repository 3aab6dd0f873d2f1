import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
} from "node:fs";
import { once } from "node:events";
import { join } from "node:path";
import { describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { encodeUtf8 } from "../bytes/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { openImage, openImageSource, streamLayerTar } from "../image/index.ts";
import type { FileSpec } from "../tar/make-tar.fixture.ts";
import { pullImage, type PullReport } from "./index.ts";
import { estargzOf, noise, plainLayerOf } from "./make-layer.fixture.ts";
import { serveImage, type ServedImage, sha256 } from "./serve-image.fixture.ts";

const CHILD = join(import.meta.dirname, "pull-child.fixture.ts");

async function runChild(
  args: readonly string[],
  options: { readonly uid?: number; readonly gid?: number } = {},
): Promise<{ code: number | null; signal: NodeJS.Signals | null; output: string }> {
  const child = spawn(process.execPath, [CHILD, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    ...options,
  });
  let output = "";
  child.stdout.on("data", (bytes: Buffer) => (output += bytes.toString("utf8")));
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return { code, signal, output };
}

function bytesSent({ requests }: ServedImage): number {
  return requests.filter(({ url }) => url.includes("/blobs/")).reduce((sum, { bytesSent: n }) => sum + n, 0);
}

const FILES: (FileSpec & { readonly content?: Uint8Array })[] = [
  { name: "big", content: noise(6 << 20, 11) },
  ...Array.from({ length: 40 }, (_, i) => ({
    name: `small/${i}`,
    mode: 0o400,
    content: noise(100_000, 20 + i),
  })),
  { name: "hard", type: "hardlink", linkName: "big" },
];

/** The share of the bytes that have come by then; 4 MiB of them may be in memory only. */
const KILLED_AT = "0.8";

function assertFiles(directory: string): void {
  assert.equal(existsSync(join(directory, ".esgz-pull")), false);
  for (const { name, content } of FILES) {
    if (content !== undefined)
      assert.equal(sha256(readFileSync(join(directory, name))), sha256(content), name);
  }
  assert.equal(lstatSync(join(directory, "hard")).ino, lstatSync(join(directory, "big")).ino);
  assert.equal(lstatSync(join(directory, "small/0")).mode & 0o7777, 0o400);
}

describe("pullImage() after kill -9", () => {
  test("continues a root without fetching again what is there", async () => {
    await using image = await serveImage([await estargzOf(FILES, 256 << 10)]);
    const directory = join(image.directory, "root");
    const first = await runChild([image.name, `rootfs:${directory}`, KILLED_AT]);
    assert.equal(first.signal, "SIGKILL");
    assert.ok(existsSync(join(directory, ".esgz-pull", "image.json")));
    image.requests.length = 0;
    const second = await runChild([image.name, `rootfs:${directory}`]);
    assert.equal(second.code, 0);
    const report = JSON.parse(second.output) as PullReport;
    assertFiles(directory);
    assert.equal(report.resumed, true);
    const content = FILES.reduce((sum, file) => sum + (file.content?.length ?? 0), 0);
    assert.ok(report.bytes.reused > content / 4, `${report.bytes.reused} bytes were reused`);
    const index = 300_000;
    assert.ok(
      bytesSent(image) < content - report.bytes.reused + 600_000 + index,
      `${bytesSent(image)} bytes were sent`,
    );
  });

  test("leaves a root to the pull that is at work there", async () => {
    await using image = await serveImage([await estargzOf(FILES, 256 << 10)]);
    const directory = join(image.directory, "root");
    const target = { kind: "rootfs", directory } as const;
    const pull = async (): Promise<PullReport> =>
      await pullImage(image.source, target, { platform: image.platform });
    const outcomes = await Promise.allSettled([pull(), pull()]);
    const refused = outcomes.filter((outcome) => outcome.status === "rejected");
    assert.equal(refused.length, 1);
    assert.ok(isEsgzError(refused[0]?.reason, "ALREADY_EXISTS"));
    assert.equal(refused[0].reason.details["pid"], process.pid);
    assertFiles(directory);
  });

  test("does not stage again a layer without index that was finished", async () => {
    const finished = plainLayerOf([{ name: "a", content: noise(2 << 20, 12) }], "gzip");
    const seekable = await estargzOf([{ name: "b", content: noise(4 << 20, 13) }], 256 << 10);
    await using image = await serveImage([finished, seekable]);
    const directory = join(image.directory, "root");
    const first = await runChild([image.name, `rootfs:${directory}`, "0.7"]);
    assert.equal(first.signal, "SIGKILL");
    image.requests.length = 0;
    const second = await runChild([image.name, `rootfs:${directory}`]);
    const report = JSON.parse(second.output) as PullReport;
    assert.equal(report.layers[0]?.blobDigest, "reused");
    assert.ok(image.requests.every(({ url }) => !url.includes(sha256(finished.blob))));
    assert.equal(sha256(readFileSync(join(directory, "a"))), sha256(noise(2 << 20, 12)));
    assert.equal(sha256(readFileSync(join(directory, "b"))), sha256(noise(4 << 20, 13)));
  });

  test("continues an unfinished blob of an OCI layout", async () => {
    const layer = plainLayerOf([{ name: "a", content: noise(8 << 20, 14) }], "none");
    await using image = await serveImage([layer]);
    const directory = join(image.directory, "layout");
    const first = await runChild([image.name, `oci:${directory}:latest`, KILLED_AT]);
    assert.equal(first.signal, "SIGKILL");
    assert.equal(existsSync(join(directory, "index.json")), false);
    image.requests.length = 0;
    const second = await runChild([image.name, `oci:${directory}:latest`]);
    const report = JSON.parse(second.output) as PullReport;
    assert.ok(report.bytes.reused >= 2_000_000, `${report.bytes.reused} bytes were reused`);
    assert.ok(bytesSent(image) < layer.blob.length - report.bytes.reused + (1 << 19));
    const blob = readFileSync(join(directory, "blobs/sha256", sha256(layer.blob).slice(7)));
    assert.equal(sha256(blob), sha256(layer.blob));
  });
});

describe("pullImage() to other targets", () => {
  test("a layout has every blob as it is, and a second pull fetches no layer", async () => {
    const layers = [await estargzOf(FILES), plainLayerOf([{ name: "x", content: encodeUtf8("x") }], "gzip")];
    await using image = await serveImage(layers);
    const directory = join(image.directory, "layout");
    const target = { kind: "oci", directory, tag: "v1" } as const;
    const { digest, bytes, requests } = await pullImage(image.source, target, { platform: image.platform });
    assert.equal(digest, image.manifestDigest);
    assert.equal(bytes.fetched, bytes.total);
    assert.ok(requests >= layers.length, `${requests} requests`);
    await using source = await openImageSource(target, {});
    assert.equal((await source.fetchRoot()).descriptor.digest, image.manifestDigest);
    for (const { blob } of layers) {
      const name = sha256(blob).slice(7);
      assert.equal(sha256(readFileSync(join(directory, "blobs/sha256", name))), sha256(blob));
    }
    assert.deepEqual(readdirSync(directory).toSorted(), ["blobs", "index.json", "oci-layout"]);
    const again = await pullImage(image.source, target, { platform: image.platform });
    assert.ok(again.layers.every(({ blobDigest }) => blobDigest === "reused"));
    assert.deepEqual([again.bytes.fetched, again.requests], [0, 0]);
  });

  test("two pulls into one layout at once both succeed, and fetch everything once", async () => {
    const layer = plainLayerOf(FILES, "gzip");
    await using image = await serveImage([layer]);
    const directory = join(image.directory, "layout");
    const [a, b] = await Promise.all(
      ["a", "b"].map((tag) =>
        pullImage(image.source, { kind: "oci", directory, tag }, { platform: image.platform }),
      ),
    );
    assert.equal(a?.digest, b?.digest);
    assert.equal((a?.bytes.reused ?? 0) + (b?.bytes.reused ?? 0), layer.blob.length);
    await using layout = await openImageSource(`oci:${directory}:b`, {});
    const { layers } = await openImage(layout, { platform: image.platform });
    const blobs = join(directory, "blobs", "sha256");
    for (const { descriptor } of layers)
      assert.equal(
        sha256(readFileSync(join(blobs, descriptor.digest.slice("sha256:".length)))),
        descriptor.digest,
      );
  });

  test("a docker archive has the layers' tars", async () => {
    const layers = [await estargzOf(FILES), plainLayerOf([{ name: "x", content: encodeUtf8("x") }], "gzip")];
    await using image = await serveImage(layers);
    const file = join(image.directory, "image.tar");
    await pullImage(image.source, { kind: "docker-archive", file }, { platform: image.platform });
    await using source = await openImageSource({ kind: "docker-archive", file }, {});
    const opened = await openImage(source, { platform: image.platform });
    for (const [index, layer] of opened.layers.entries()) {
      let size = 0;
      for await (const bytes of streamLayerTar(layer)) size += bytes.length;
      const blob = layers[index]?.blob ?? new Uint8Array(0);
      assert.equal(size, gunzipSync(blob).length);
    }
  });
});

describe("pullImage() without root", () => {
  test("does what it can and counts what it cannot", async (t) => {
    if (process.geteuid?.() !== 0) return t.skip("needs root to become someone else");
    const layer = await estargzOf([
      { name: "mine", content: encodeUtf8("content"), uid: 0, gid: 0, mode: 0o4755 },
      { name: "null", type: "char", devMajor: 1, devMinor: 3, mode: 0o666 },
      { name: "locked", type: "dir", mode: 0o500 },
      { name: "locked/file", content: encodeUtf8("inside"), mode: 0o400 },
      {
        name: "caps",
        content: encodeUtf8("x"),
        xattrs: new Map([["security.capability", new Uint8Array(20)]]),
      },
    ]);
    await using image = await serveImage([layer]);
    const home = join(image.directory, "home");
    chmodSync(image.directory, 0o711);
    mkdirSync(home);
    chownSync(home, 65534, 65534);
    const { code, output } = await runChild([image.name, `rootfs:${home}/root`], { uid: 65534, gid: 65534 });
    assert.equal(code, 0);
    const report = JSON.parse(output) as PullReport;
    const kinds = report.omissions.map(({ what }) => what).toSorted();
    assert.deepEqual(kinds, ["device", "owner", "xattr"]);
    assert.equal(readFileSync(`${home}/root/locked/file`, "utf8"), "inside");
    assert.equal(statSync(`${home}/root/locked`).mode & 0o7777, 0o500);
    assert.equal(statSync(`${home}/root/mine`).uid, 65534);
    assert.equal(existsSync(`${home}/root/null`), false);
  });
});
