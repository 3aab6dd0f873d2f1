import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { concatBytes, decodeUtf8 } from "../bytes/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { type FileSpec, tarOf } from "../tar/make-tar.fixture.ts";
import { openImageFiles, readImageFile, resolveImagePath, type ImageFiles } from "./image-files.ts";
import { openImage } from "./image.ts";
import { makeImage, temporaryDirectory, writeImage } from "./layer.fixture.ts";
import { openImageDestination, openImageSource } from "./open-image-source.ts";

/** The files of an image with these layers, and how many layers were said to be read whole. */
async function filesOf(
  t: TestContext,
  layers: readonly (readonly FileSpec[])[],
): Promise<{ readonly files: ImageFiles; readonly opaque: readonly number[] }> {
  const name = `oci:${await temporaryDirectory(t)}/image`;
  const made = makeImage(layers.map((layer) => tarOf(layer)));
  await using destination = await openImageDestination(name, {});
  await writeImage(destination, made);
  await destination.publish(made.manifest);
  const source = await openImageSource(name, {});
  t.after(() => source[Symbol.asyncDispose]());
  const image = await openImage(source, { platform: { os: "linux", architecture: "amd64" } });
  const opaque: number[] = [];
  const files = await openImageFiles(image, { onOpaque: ({ layer }) => opaque.push(layer.index) });
  return { files, opaque };
}

async function contentOf(files: ImageFiles, path: string): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const bytes of readImageFile(files, resolveImagePath(files, path).node)) parts.push(bytes);
  return decodeUtf8(concatBytes(parts));
}

test("openImageFiles() says which layers it reads whole", async (t) => {
  const { files, opaque } = await filesOf(t, [[{ name: "a", content: "1" }], [{ name: "b", content: "2" }]]);
  assert.deepEqual(new Set(opaque), new Set([0, 1]));
  assert.deepEqual(
    files.layers.map(({ kind }) => kind),
    ["opaque", "opaque"],
  );
});

test("readImageFile() reads the uppermost layer's file, and through a hard link the linked one", async (t) => {
  const { files } = await filesOf(t, [
    [
      { name: "a", content: "lower" },
      { name: "b", content: "x".repeat(2000) },
      { name: "link", type: "hardlink", linkName: "b" },
    ],
    [
      { name: "a", content: "upper" },
      { name: "empty", content: "" },
    ],
  ]);
  assert.equal(await contentOf(files, "a"), "upper");
  assert.equal(await contentOf(files, "/link"), "x".repeat(2000));
  assert.equal(await contentOf(files, "empty"), "");
});

test("readImageFile() gives the last of two entries of one name", async (t) => {
  const { files } = await filesOf(t, [
    [
      { name: "a", content: "first" },
      { name: "a", content: "second" },
    ],
  ]);
  assert.equal(await contentOf(files, "a"), "second");
});

test("resolveImagePath() follows symlinks inside the image and never out of it", async (t) => {
  const { files } = await filesOf(t, [
    [
      { name: "etc/" },
      { name: "etc/passwd", content: "inside" },
      { name: "absolute", type: "symlink", linkName: "/etc/passwd" },
      { name: "climbing", type: "symlink", linkName: "../../../etc/passwd" },
      { name: "folder", type: "symlink", linkName: "etc" },
    ],
  ]);
  for (const path of ["absolute", "climbing", "folder/passwd", "/../../etc/passwd", "folder/../absolute"]) {
    assert.equal(await contentOf(files, path), "inside", path);
  }
  assert.equal(resolveImagePath(files, "folder", { followLast: false }).node.inode.type, "symlink");
  assert.equal(resolveImagePath(files, "folder").path, "etc");
});

test("resolveImagePath() ends for links that never do, and for what is not there", async (t) => {
  const { files } = await filesOf(t, [
    [
      { name: "loop", type: "symlink", linkName: "loop" },
      { name: "dangling", type: "symlink", linkName: "nothing" },
      { name: "file", content: "x" },
    ],
  ]);
  assert.throws(() => resolveImagePath(files, "loop"), isEsgzError);
  for (const path of ["dangling", "nothing", "file/below", "toString"]) {
    assert.throws(
      () => resolveImagePath(files, path),
      (error) => isEsgzError(error, "FILE_NOT_FOUND"),
      path,
    );
  }
});

test("readImageFile() refuses what has no content of its own", async (t) => {
  const { files } = await filesOf(t, [
    [
      { name: "dir/" },
      { name: "pipe", type: "fifo" },
      { name: "null", type: "char", devMajor: 1, devMinor: 3 },
    ],
  ]);
  for (const path of ["dir", "pipe", "null", "/"]) {
    await assert.rejects(contentOf(files, path), (error) => isEsgzError(error, "FILE_NOT_FOUND"), path);
  }
});
