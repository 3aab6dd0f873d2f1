import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { EsgzError, type ErrorCode } from "../errors/index.ts";
import { type BlobSource, MemoryBlob } from "../blob/index.ts";
import { ANNOTATIONS, type Descriptor, type Digest, MEDIA_TYPES, type TocPlace } from "../oci/index.ts";
import { tarOf } from "../tar/make-tar.fixture.ts";
import { estargzOf, sha256 } from "./image.fixture.ts";
import { LayersAhead, type LayersAheadOptions, type ToldLayers } from "./layers-ahead.ts";

function digestOf(number: number): Digest {
  return `sha256:${String(number).padStart(64, "0")}`;
}

function descriptorOf(digest: Digest, size: number, tocDigest?: Digest): Descriptor {
  const annotations = tocDigest === undefined ? {} : { [ANNOTATIONS.tocDigest]: tocDigest };
  return { mediaType: MEDIA_TYPES.ociLayerGzip, digest, size, annotations };
}

/** What was asked for, of blobs that are all the same. */
function setUp(
  blob: (size: number) => BlobSource,
  stored: readonly Digest[] = [],
): {
  readonly opened: Digest[];
  readonly begin: (told: ToldLayers, options?: Partial<LayersAheadOptions>) => LayersAhead;
} {
  const opened: Digest[] = [];
  const openBlob = ({ digest, size }: Descriptor): BlobSource => {
    opened.push(digest);
    return blob(size);
  };
  const store = { layers: () => Promise.resolve(stored) };
  const common = { store, source: { openBlob }, verification: "required" } as const;
  return { opened, begin: (told, options) => new LayersAhead(told, { ...common, ...options }) };
}

async function sample(): Promise<{ blob: Uint8Array; digest: Digest; tocDigest: Digest; place: TocPlace }> {
  const { blob, annotations } = await estargzOf(tarOf([{ name: "a", content: "a" }]));
  const tocDigest = annotations?.[ANNOTATIONS.tocDigest] as Digest;
  const [offset = 0, blobSize = 0] = (annotations?.[ANNOTATIONS.tocPlaces] ?? "").split("/").map(Number);
  return { blob, digest: sha256(blob), tocDigest, place: { offset, blobSize } };
}

async function settled(t: TestContext): Promise<void> {
  t.signal.throwIfAborted();
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

test("LayersAhead gives what it made for the very layer that it was told of", async () => {
  const { blob, digest, tocDigest, place } = await sample();
  const { begin } = setUp(() => new MemoryBlob(blob));
  const ahead = begin({ digest, tocDigest, tocPlaces: new Map([[digest, place]]) });
  const found = ahead.of(descriptorOf(digest, blob.length, tocDigest));
  const made = await found?.made;
  assert.ok(made?.kind === "made" && made.tocDigest === tocDigest);
  assert.ok((await found?.raw) !== undefined);
  assert.equal(ahead.of(descriptorOf(digest, blob.length, digestOf(1)))?.made, undefined);
  assert.equal(ahead.of(descriptorOf(digest, blob.length))?.made, undefined);
  assert.equal(ahead.of(descriptorOf(digest, blob.length + 1, tocDigest)), undefined);
  assert.equal(ahead.of(descriptorOf(digestOf(1), blob.length, tocDigest)), undefined);
});

test("LayersAhead declines what is proven to be another table", async () => {
  const { blob, digest, place } = await sample();
  const { begin } = setUp(() => new MemoryBlob(blob));
  const ahead = begin({ digest, tocDigest: digestOf(1), tocPlaces: new Map([[digest, place]]) });
  const made = await ahead.of(descriptorOf(digest, blob.length, digestOf(1)))?.made;
  assert.ok(made?.kind === "declined" && made.mismatch, made?.kind);
});

test("LayersAhead reads nothing that is stored, or for whom nothing is proven, or who has no proof", async (t) => {
  const { blob, digest, tocDigest, place } = await sample();
  const told = { digest, tocDigest, tocPlaces: new Map([[digest, place]]) };
  const { opened, begin } = setUp(() => new MemoryBlob(blob), [digest]);
  assert.equal(await begin(told).of(descriptorOf(digest, blob.length, tocDigest))?.made, undefined);
  const other = setUp(() => new MemoryBlob(blob));
  other.begin(told, { verification: "computed" });
  other.begin({ digest, tocPlaces: told.tocPlaces });
  await settled(t);
  assert.deepEqual([...opened, ...other.opened], []);
});

test("LayersAhead begins with so many layers and bytes, however many it is told of", async (t) => {
  const never: BlobSource = {
    size: 0,
    read: () => new Promise(() => undefined),
    // oxlint-disable-next-line require-yield -- nothing ever comes
    stream: async function* () {
      await new Promise(() => undefined);
    },
  };
  const { opened, begin } = setUp((size) => ({ ...never, size }));
  const small = Array.from(
    { length: 40 },
    (_, at) => [digestOf(at), { offset: 0, blobSize: 1 << 10 }] as const,
  );
  begin({ digest: digestOf(0), tocDigest: digestOf(99), tocPlaces: new Map(small) });
  await settled(t);
  assert.deepEqual(
    opened,
    Array.from({ length: 16 }, (_, at) => digestOf(at)),
  );
  opened.length = 0;
  const tables = [10 << 20, 10 << 20, 1 << 20].map(
    (blobSize, at) => [digestOf(at), { offset: 0, blobSize }] as const,
  );
  begin({ digest: digestOf(0), tocDigest: digestOf(99), tocPlaces: new Map(tables) });
  await settled(t);
  assert.deepEqual(opened, [digestOf(0), digestOf(2)]);
});

test("LayersAhead passes on why a layer cannot be read, but for what was told wrong", async () => {
  const { digest, tocDigest, place } = await sample();
  const failWith = (code: ErrorCode): ReturnType<typeof setUp> =>
    setUp((size) => ({
      size,
      read: () => Promise.reject(new EsgzError(code, "Cannot read")),
      stream: () => {
        throw new EsgzError(code, "Cannot read");
      },
    }));
  for (const code of [
    "NETWORK_FAILED",
    "REGISTRY_UNAUTHORIZED",
    "SIZE_MISMATCH",
    "REGISTRY_NOT_FOUND",
  ] as const) {
    const ahead = failWith(code).begin({ digest, tocDigest, tocPlaces: new Map([[digest, place]]) });
    const found = ahead.of(descriptorOf(digest, place.blobSize, tocDigest));
    assert.equal(await found?.made, undefined);
    if (code === "SIZE_MISMATCH" || code === "REGISTRY_NOT_FOUND") assert.equal(await found?.raw, undefined);
    else await assert.rejects(found?.raw ?? Promise.resolve(), { code });
  }
});
