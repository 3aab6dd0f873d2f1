import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { ANNOTATIONS, type Digest, MEDIA_TYPES } from "../oci/index.ts";
import { pullImage } from "./index.ts";
import { plainLayer } from "./make-layer.fixture.ts";
import { type FoundFile, hasPython, readRoot } from "./read-root.fixture.ts";
import { serveImage, sha256, type ServedLayer } from "./serve-image.fixture.ts";

const VECTORS = join(import.meta.dirname, "../../test/vectors");
const isRoot = process.geteuid?.() === 0;

interface Expected {
  readonly type: string;
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  readonly size?: number;
  readonly sha256?: string;
  readonly target?: string;
  readonly dev?: [number, number];
  readonly xattrs?: Record<string, string>;
}

const expected = JSON.parse(vector("everything.expected.json").toString("utf8")) as Record<string, Expected>;

function vector(name: string): Buffer {
  return readFileSync(join(VECTORS, name));
}

function gzipVector(name: string, tocDigest: string): ServedLayer {
  const blob = vector(name);
  const annotations = { [ANNOTATIONS.tocDigest]: `sha256:${tocDigest}` };
  return { blob, mediaType: MEDIA_TYPES.ociLayerGzip, diffId: sha256(gunzipSync(blob)), annotations };
}

function zstdVector(name: string, annotations: Record<string, string>): ServedLayer {
  const blob = vector(name);
  return {
    blob,
    mediaType: MEDIA_TYPES.ociLayerZstd,
    diffId: ZSTD_DIFF_IDS[name] ?? sha256(zstdDecompressSync(blob)),
    annotations,
  };
}

/** Node's one-shot decoder does not go on behind skippable frames. From the README of the vectors. */
const ZSTD_DIFF_IDS: Readonly<Record<string, Digest>> = {
  "everything.zstdchunked.blob": "sha256:55cbfb28676c3460f87883fd2f0e3cb1bda2c7eddbab1255ca105c876712cafb",
};
const TOC_64K = "01ee0b57da0c1608c58cb4235f351e42dee4fa05a9e79e00aeb51992da87af91";

/**
 * BuildKit unpacked the tar first: it lost the root's entry, a user attribute and a fraction of a second (which others
 * round), and the link's mode became the file's.
 */
const LOST_BY_BUILDKIT = new Set(["", "bin/tool", "etc/caps", "etc/fractional"]);

/** Layer, and whether it keeps fractions of seconds. */
const LAYERS: Record<string, { layer: () => ServedLayer; way: "ranges" | "whole"; fractions: boolean }> = {
  default: seekable(
    "everything.default.blob",
    "df198a3639deddc3ca6eeb0325f539a95ef547da9f34c353ca94dc6f08a4ee7d",
  ),
  chunk64k: seekable("everything.chunk64k.blob", TOC_64K),
  minchunk: seekable(
    "everything.minchunk.blob",
    "578d3da8df905d9f37b8332100bccbbcd9cc1994a031459f83c26290d69c9507",
  ),
  prioritized: seekable(
    "everything.prioritized.blob",
    "645dc2585a9c075d3ba8740c0a59ee390ae5c3158056eec3690cdd066abc23b1",
  ),
  buildkit: seekable(
    "everything.buildkit.blob",
    "2a41b1ba7ed27a40ebfbc66d5be7cf7089db25b4f564e8ac3879bc10b70793fe",
  ),
  zstdchunked: {
    way: "ranges",
    fractions: false,
    layer: () =>
      zstdVector("everything.zstdchunked.blob", {
        [ANNOTATIONS.tocDigest]: "sha256:8ed0f5bdd3669d6ae71833bb2cbeb90bf56d7c6ecbdae7855c22db8f8f61922a",
        [ANNOTATIONS.zstdChecksumStargz]:
          "sha256:b1b3414d635439c0799131a00c77ae624b406d4b5b44e62ed384a1ffe0d37cca",
        [ANNOTATIONS.zstdPositionStargz]: "372615:17708:108809:1",
      }),
  },
  "zstdchunked-skopeo": {
    way: "ranges",
    fractions: true,
    layer: () =>
      zstdVector("everything.zstdchunked-skopeo.blob", {
        [ANNOTATIONS.zstdChecksum]: "sha256:b8a357a6e8069f1fba4235897a118ab65f0d8e4f8442f787767f524b371ec395",
        [ANNOTATIONS.zstdPosition]: "375720:25037:119669:1",
      }),
  },
  "ordinary gzip": {
    way: "whole",
    fractions: true,
    layer: () => plainLayer(vector("everything.tar"), "gzip"),
  },
  "ordinary zstd": {
    way: "whole",
    fractions: true,
    layer: () => plainLayer(vector("everything.tar"), "zstd"),
  },
  uncompressed: { way: "whole", fractions: true, layer: () => plainLayer(vector("everything.tar"), "none") },
};

function seekable(name: string, digest: string): (typeof LAYERS)[string] {
  return { way: "ranges", fractions: false, layer: () => gzipVector(name, digest) };
}

describe("pullImage() to a root has everything as Python's tarfile read it", () => {
  for (const [name, { layer, way, fractions }] of Object.entries(LAYERS)) {
    test(name, async (t) => {
      if (!hasPython()) return t.skip("needs python3");
      if (!isRoot) return t.skip("needs root for owners and devices");
      await using image = await serveImage([layer()]);
      const directory = join(image.directory, "root");
      const report = await pullImage(
        image.source,
        { kind: "rootfs", directory },
        { platform: image.platform },
      );
      assert.equal(report.layers[0]?.way, way, report.layers[0]?.reason);
      assert.equal(report.layers[0]?.blobDigest, "verified");
      assert.deepEqual(report.omissions, []);
      assertRoot(readRoot(directory), { fractions, faithful: name !== "buildkit" });
    });
  }
});

function assertRoot(
  found: Record<string, FoundFile>,
  { fractions, faithful }: { fractions: boolean; faithful: boolean },
): void {
  const wanted = Object.entries(expected).filter(
    ([path]) => !/(^|\/)\.wh\./.test(path) && (faithful || !LOST_BY_BUILDKIT.has(path)),
  );
  const implied = Object.keys(found).filter((path) => !(path in expected));
  for (const path of implied) assert.equal(found[path]?.type, "dir", `${path} is not in the tar`);
  for (const [path, entry] of wanted) {
    const file = found[path];
    assert.ok(file !== undefined, `${path} is missing`);
    if (entry.type === "hardlink") {
      assert.equal(file.inode, found[entry.target ?? ""]?.inode, `${path} is a link`);
      continue;
    }
    const facts = { type: file.type, uid: file.uid, gid: file.gid, size: file.size, sha256: file.sha256 };
    const { type, uid, gid, size, sha256: digest } = entry;
    assert.deepEqual(facts, { type, uid, gid, size, sha256: digest }, path);
    if (type !== "symlink") assert.equal(file.mode, entry.mode, path);
    assert.equal(file.target, entry.target, path);
    assert.deepEqual(file.dev, entry.dev, path);
    assert.deepEqual(file.xattrs ?? {}, entry.xattrs ?? {}, path);
    const seconds = Number(file.mtimeNs) / 1e9;
    assert.ok(
      Math.abs(seconds - entry.mtime) <= (fractions ? 1e-6 : 0.5),
      `${path}: ${seconds} ${entry.mtime}`,
    );
  }
}
