import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { ErofsReader, walkErofs } from "../erofs/index.ts";
import { tarOf } from "../tar/make-tar.fixture.ts";
import { type FileFinder, ImageFiles } from "./image-files.ts";
import { estargzOf, PLATFORM, serveImage, temporaryStore } from "./image.fixture.ts";
import { LayeredFiles } from "./layered-files.ts";
import { prepareImage } from "./prepare-image.ts";

const LAYERS = [
  tarOf([
    { name: "usr/bin/tool", content: "lowest tool" },
    { name: "usr/lib/one.so", content: "one" },
    { name: "etc/conf", content: "conf" },
    { name: "etc/gone", content: "gone" },
    { name: "opt/app/old", content: "old" },
    { name: "bin", type: "symlink", linkName: "usr/bin" },
    { name: "srv", content: "a file below" },
    { name: "var/run", type: "symlink", linkName: "/etc" },
  ]),
  tarOf([
    { name: "usr/bin/tool", content: "upper tool" },
    { name: "usr/bin/link", type: "symlink", linkName: "../lib/one.so" },
    { name: "etc/.wh.gone" },
    { name: "opt/app/.wh..wh..opq" },
    { name: "opt/app/new", content: "new" },
    { name: "srv/inside", content: "a directory above" },
    { name: "loop", type: "symlink", linkName: "loop" },
  ]),
  tarOf([
    { name: "usr/.wh.lib" },
    { name: "usr/sbin/one", type: "symlink", linkName: "/bin/../bin/tool" },
    { name: "out", type: "symlink", linkName: "../../../../etc/conf" },
  ]),
];

/** What a finder says of a path: where its bytes lie. */
function describe(files: FileFinder, path: string): string | undefined {
  const file = files.find(path);
  if (file === undefined) return undefined;
  const runs = Array.from(
    files.runs(file, { offset: 0, size: file.size }),
    ({ layer, fileOffset, range }) => `${fileOffset} ${layer.digest} ${range.offset}+${range.size}`,
  );
  return [file.path, file.size, ...runs].join(" ");
}

test("LayeredFiles finds what the merged image has, link by link and layer by layer", async (t) => {
  const blobs = await Promise.all(LAYERS.map((tar) => estargzOf(tar)));
  const served = await serveImage(t, blobs);
  const store = await temporaryStore(t);
  const options = { store, platform: PLATFORM, name: served.name, whole: "never" } as const;
  await using image = await prepareImage(served.source, options);
  const layers = image.layers.map(({ handle }) => handle.layer);
  const meta = await readFile(image.mergedMeta.path);
  const merged = new ImageFiles(meta, layers);
  const parts = layers.map(async (layer) => ({ layer, meta: await readFile(layer.metaPath) }));
  const layered = new LayeredFiles(await Promise.all(parts));
  const paths = Array.from(walkErofs(new ErofsReader(meta)), ({ path }) => `/${path}`);
  const hidden = [
    "/etc/gone",
    "/opt/app/old",
    "/usr/lib/one.so",
    "/usr/bin/link",
    "/loop",
    "/srv",
    "/none/at/all",
  ];
  for (const path of [...paths, ...hidden, "/bin/tool", "/var/run/conf", "bin//./tool", "/bin/tool/"]) {
    assert.equal(describe(layered, path), describe(merged, path), path);
  }
  const found = paths.filter((path) => layered.find(path) !== undefined);
  assert.deepEqual(found.toSorted(), [
    "/etc/conf",
    "/opt/app/new",
    "/out",
    "/srv/inside",
    "/usr/bin/tool",
    "/usr/sbin/one",
  ]);
  assert.equal(layered.find("/usr/sbin/one")?.path, "/usr/bin/tool");
  assert.match(describe(layered, "/bin/tool") ?? "", new RegExp(`10 0 ${layers[1]?.digest} `));
  for (const path of hidden) assert.equal(layered.find(path), undefined, path);
});
