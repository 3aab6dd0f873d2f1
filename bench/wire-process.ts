/**
 * Fetches all layers of an image over four connections, in ranges, and throws the bytes away: what the link alone costs.
 *
 * @module
 */
import { Agent, request } from "undici";
import { mapConcurrent } from "../src/async/index.ts";
import { parseManifest } from "../src/oci/index.ts";

const [host = "", repository = "", tag = ""] = process.argv.slice(2);
const RANGE = 16 << 20;
const dispatcher = new Agent({ connections: 4 });
const base = `http://${host}/v2/${repository}`;

const answer = await request(`${base}/manifests/${tag}`, {
  dispatcher,
  headers: { accept: "application/vnd.oci.image.manifest.v1+json" },
});
const { layers } = parseManifest(new Uint8Array(await answer.body.arrayBuffer()));
const ranges = layers.flatMap(({ digest, size }) =>
  Array.from({ length: Math.ceil(size / RANGE) }, (_, at) => ({
    digest,
    range: `bytes=${at * RANGE}-${Math.min(size, (at + 1) * RANGE) - 1}`,
  })),
);
await mapConcurrent(
  ranges,
  async ({ digest, range }) => {
    const { body } = await request(`${base}/blobs/${digest}`, { dispatcher, headers: { range } });
    for await (const _chunk of body);
  },
  { concurrency: 4 },
);
await dispatcher.close();
