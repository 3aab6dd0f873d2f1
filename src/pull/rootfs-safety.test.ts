import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { encodeUtf8 } from "../bytes/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { pullImage, type PullReport } from "./index.ts";
import { estargzOf, noise, plainLayerOf } from "./make-layer.fixture.ts";
import { serveImage, type ServedImage, sha256 } from "./serve-image.fixture.ts";

async function pullRoot(
  image: ServedImage,
  name = "root",
): Promise<{ directory: string; report: PullReport }> {
  const directory = join(image.directory, name);
  const options = { platform: image.platform };
  return { directory, report: await pullImage(image.source, { kind: "rootfs", directory }, options) };
}

function filesBelow(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

describe("pullImage() to a root fetches only what is visible", () => {
  test("content that an upper layer hides or replaces never travels", async () => {
    const lower = await estargzOf([
      { name: "keep", content: noise(1 << 20, 1) },
      { name: "hidden", content: noise(3 << 20, 2) },
      { name: "replaced", content: noise(3 << 20, 3) },
    ]);
    const upper = await estargzOf([{ name: ".wh.hidden" }, { name: "replaced", content: encodeUtf8("new") }]);
    await using image = await serveImage([lower, upper]);
    const { directory, report } = await pullRoot(image);
    assert.deepEqual(readdirSync(directory).toSorted(), ["keep", "replaced"]);
    assert.equal(readFileSync(join(directory, "replaced"), "utf8"), "new");
    assert.equal(sha256(readFileSync(join(directory, "keep"))), sha256(noise(1 << 20, 1)));
    const sent = image.requests.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
    assert.ok(sent < 2 << 20, `${sent} bytes were sent`);
    assert.equal(report.layers[0]?.blobDigest, "not computed");
    assert.ok((report.layers[0]?.skippedBytes ?? 0) > 5 << 20);
  });

  test("content that occurs several times travels once", async () => {
    const content = noise(2 << 20, 4);
    const layer = await estargzOf([
      { name: "a", content },
      { name: "b", content },
      { name: "c", content },
    ]);
    await using image = await serveImage([layer]);
    const { directory, report } = await pullRoot(image);
    for (const name of ["a", "b", "c"]) {
      assert.equal(sha256(readFileSync(join(directory, name))), sha256(content));
    }
    assert.ok(report.bytes.fetched < 3 << 20, `${report.bytes.fetched} bytes were fetched`);
  });

  test("many layers take no more rounds than one: one request each for index and content", async () => {
    const layers = await Promise.all(
      Array.from(
        { length: 30 },
        async (_, i) => await estargzOf([{ name: `f${i}`, content: noise(500_000, i + 1) }]),
      ),
    );
    await using image = await serveImage(layers);
    const { directory, report } = await pullRoot(image);
    assert.equal(readdirSync(directory).length, 30);
    assert.ok(report.layers.every(({ blobDigest }) => blobDigest === "verified"));
    // One may have been asked for twice where this machine stood still.
    assert.ok(report.requests <= 62, `${report.requests} requests`);
  });
});

describe("pullImage() to a root writes nothing that is not proven", () => {
  test("a chunk with wrong bytes fails with DIGEST_MISMATCH or COMPRESSION_INVALID, and none of it is on the disk", async () => {
    const good = await estargzOf([{ name: "file", content: noise(3 << 20, 5) }]);
    const blob = good.blob.slice();
    const at = 1 << 20;
    blob[at] = (blob[at] ?? 0) ^ 0xff;
    await using image = await serveImage([{ ...good, blob }]);
    await assert.rejects(
      pullRoot(image),
      (error) => isEsgzError(error, "DIGEST_MISMATCH") || isEsgzError(error, "COMPRESSION_INVALID"),
    );
    for (const file of filesBelow(join(image.directory, "root"))) {
      if (file.endsWith("image.json")) continue;
      const { size, blocks } = statSync(file);
      assert.ok(size === 0 || blocks === 0, `${file} has content`);
    }
  });

  test("an ordinary layer whose diff id is wrong leaves nothing visible", async () => {
    const layer = plainLayerOf([{ name: "file", content: noise(100_000, 6) }], "gzip");
    await using image = await serveImage([{ ...layer, diffId: sha256(encodeUtf8("other")) }]);
    await assert.rejects(pullRoot(image), (error) => isEsgzError(error, "DIGEST_MISMATCH"));
    assert.deepEqual(readdirSync(join(image.directory, "root")), [".esgz-pull"]);
  });

  for (const kind of ["ranges", "whole"] as const) {
    test(`symlinks of a layer lead no file outside (${kind})`, async () => {
      const outside = encodeUtf8("outside");
      const files = [
        { name: "out", type: "symlink" as const, linkName: "../victim" },
        { name: "out/file", content: outside },
        { name: "abs", type: "symlink" as const, linkName: "/tmp" },
        { name: "abs/esgz-escaped", content: outside },
        { name: "../climbed", content: outside },
      ];
      const layer = kind === "ranges" ? await estargzOf(files) : plainLayerOf(files, "gzip");
      await using image = await serveImage([layer]);
      mkdirSync(join(image.directory, "victim"));
      const { directory } = await pullRoot(image);
      assert.deepEqual(readdirSync(join(image.directory, "victim")), []);
      assert.equal(existsSync("/tmp/esgz-escaped"), false);
      assert.equal(existsSync(join(image.directory, "climbed")), false);
      assert.equal(readFileSync(join(directory, "climbed"), "utf8"), "outside");
    });
  }

  test("a directory with other files, or of another image, is refused with ALREADY_EXISTS", async () => {
    await using image = await serveImage([await estargzOf([{ name: "file", content: noise(1000, 7) }])]);
    const directory = join(image.directory, "root");
    mkdirSync(directory);
    writeFileSync(join(directory, "mine"), "");
    await assert.rejects(pullRoot(image), (error) => isEsgzError(error, "ALREADY_EXISTS"));
    const other = join(image.directory, "other", ".esgz-pull", "layers");
    mkdirSync(other, { recursive: true });
    writeFileSync(join(other, "../image.json"), `{"version":1,"image":"sha256:${"0".repeat(64)}"}`);
    await assert.rejects(pullRoot(image, "other"), (error) => isEsgzError(error, "ALREADY_EXISTS"));
  });

  test("a pull that was interrupted in its first or its last step continues", async () => {
    await using image = await serveImage([await estargzOf([{ name: "file", content: noise(1000, 7) }])]);
    mkdirSync(join(image.directory, "first", ".esgz-pull", "layers"), { recursive: true });
    const first = await pullRoot(image, "first");
    assert.equal(first.report.resumed, false);
    const { directory } = await pullRoot(image, "last");
    mkdirSync(join(directory, ".esgz-pull"));
    const marker = { version: 1, image: image.manifestDigest, boot: "" };
    writeFileSync(join(directory, ".esgz-pull", "image.json"), JSON.stringify(marker));
    const last = await pullRoot(image, "last");
    assert.equal(last.report.bytes.reused, 1000);
    assert.deepEqual(readdirSync(directory), ["file"]);
  });

  test("what was put into an unfinished directory leads no write outside", async () => {
    const layer = await estargzOf([
      { name: "dir", type: "dir", mode: 0o755 },
      { name: "dir/file", content: noise(1000, 8) },
      { name: "link-target", content: noise(1000, 9) },
    ]);
    await using image = await serveImage([layer]);
    const directory = join(image.directory, "root");
    const victim = join(image.directory, "victim");
    mkdirSync(join(directory, ".esgz-pull", "layers"), { recursive: true });
    mkdirSync(victim);
    writeFileSync(join(victim, "precious"), "precious");
    writeFileSync(
      join(directory, ".esgz-pull", "image.json"),
      JSON.stringify({ version: 1, image: image.manifestDigest, boot: "" }),
    );
    symlinkSync(victim, join(directory, "dir"));
    symlinkSync(join(victim, "precious"), join(directory, "link-target"));
    const { report } = await pullRoot(image);
    assert.equal(report.resumed, true);
    assert.deepEqual(readdirSync(victim), ["precious"]);
    assert.equal(readFileSync(join(victim, "precious"), "utf8"), "precious");
    assert.equal(sha256(readFileSync(join(directory, "dir/file"))), sha256(noise(1000, 8)));
    assert.equal(sha256(readFileSync(join(directory, "link-target"))), sha256(noise(1000, 9)));
  });
});
