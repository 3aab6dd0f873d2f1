/**
 * For tests: images for pods, in a public and a private registry.
 */
import { execFile } from "node:child_process";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import { RegistryClient } from "../../src/registry/index.ts";
import { startRegistryServer } from "../../src/registry-server/index.ts";
import { busyboxFiles, dataFiles, layersOf, type LayerPlan, pushImage } from "./runnable-image.ts";

/** The images, by their names. */
export interface PodImages {
  /** For sandboxes. Its layer is the lowest of the others. */
  readonly pause: string;
  /** Has four files of 1 MB below `/data`. */
  readonly app: string;
  /** Of a registry that asks `user` for `word`. */
  readonly secret: string;
  readonly plans: readonly LayerPlan[];
  /** Bytes of the layers of `app`. */
  readonly size: number;
  /** Bytes of answers of the public registry so far. */
  readonly sent: () => number;
}

/** Pushes them to two registries of the test, one of which is private. */
export async function servePodImages(t: TestContext): Promise<PodImages> {
  let bytes = 0;
  const open = await startRegistryServer({ onRequest: ({ bytesSent }) => (bytes += bytesSent) });
  t.after(() => open.close());
  const htpasswd = (await promisify(execFile)("htpasswd", ["-nbB", "user", "word"])).stdout;
  const closed = await startRegistryServer({ htpasswd });
  t.after(() => closed.close());
  const base = { files: await busyboxFiles() };
  const plans = [base, { files: dataFiles("a", { count: 4, size: 1_000_000 }) }];
  const layers = await layersOf(plans);
  const command = ["/bin/sleep", "100000"];
  await using client = new RegistryClient();
  const registry = `127.0.0.1:${open.port}`;
  const pause = await pushImage(client, {
    registry,
    repository: "pause",
    layers: await layersOf([base]),
    command,
  });
  const app = await pushImage(client, { registry, repository: "team/app", layers });
  const credentials = { credentialFor: () => Promise.resolve({ username: "user", password: "word" }) };
  await using member = new RegistryClient({ credentials });
  const secret = await pushImage(member, {
    registry: `127.0.0.1:${closed.port}`,
    repository: "team/secret",
    layers: await layersOf([base, { files: dataFiles("b", { count: 2, size: 300_000 }) }]),
  });
  bytes = 0;
  const size = layers.reduce((sum, { blob }) => sum + blob.length, 0);
  return { pause, app, secret, plans, size, sent: () => bytes };
}
