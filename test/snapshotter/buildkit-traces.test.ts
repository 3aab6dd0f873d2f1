// What BuildKit was seen to ask, asked again over a real socket: the answers must be those that it got then.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test, type TestContext } from "node:test";
import { gunzipSync } from "node:zlib";
import { systemClock } from "../../src/async/index.ts";
import { listMountsBelow } from "../../src/erofs-mount/index.ts";
import {
  type Client,
  ConnectError,
  createClient,
  createUnixTransport,
  type Info,
  Kind,
  type Mount,
  serveGrpc,
  Snapshots,
} from "../../src/grpc/index.ts";
import type { Digest } from "../../src/oci/index.ts";
import { readOverlaySettings, routeSnapshots, Snapshotter } from "../../src/snapshotter/index.ts";
import { DirectoryLayers } from "./directory-layers.ts";

const TRACES = resolve(import.meta.dirname, "../vectors/traces");
const DIGEST_LABEL = "containerd.io/snapshot/remote/stargz.digest";

interface TracedInfo {
  readonly name: string;
  readonly parent: string;
  readonly kind: keyof typeof Kind;
  readonly labels: Record<string, string>;
}

interface TracedMount {
  readonly type: string;
  readonly source: string;
  readonly options: string[];
}

/** One call. */
interface Call {
  readonly i: number;
  readonly rpc: string;
  readonly req: {
    readonly key?: string;
    readonly name?: string;
    readonly parent?: string;
    readonly labels?: Record<string, string>;
    readonly filters?: string[];
    readonly info?: TracedInfo;
    readonly update_mask?: { readonly paths: string[] };
  };
  readonly md?: Record<string, string>;
  readonly res?: { readonly mounts?: TracedMount[]; readonly info?: TracedInfo };
  readonly err?: { readonly code: number };
}

async function readTrace(name: string): Promise<Call[]> {
  const text = gunzipSync(await readFile(join(TRACES, name))).toString();
  return text
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Call);
}

async function serve(
  t: TestContext,
  calls: readonly Call[],
  isRemote: boolean,
): Promise<Client<typeof Snapshots>> {
  const folder = await mkdtemp(join(tmpdir(), "esgz-traces-"));
  const layers = new DirectoryLayers();
  if (isRemote) {
    for (const { req } of calls) {
      const digest = req.labels?.[DIGEST_LABEL];
      if (digest !== undefined) layers.directories.set(digest as Digest, "/usr/share/doc");
    }
  }
  const root = join(folder, "root");
  const overlaySettings = await readOverlaySettings();
  const snapshotter = await Snapshotter.open({ root, clock: systemClock, remote: layers, overlaySettings });
  const path = join(folder, "s.sock");
  const server = await serveGrpc({
    routes: (router) => routeSnapshots(router, snapshotter),
    listen: { path },
  });
  const unix = createUnixTransport({ path });
  t.after(async () => {
    unix.close();
    await server.close();
    await snapshotter.close();
    for (const { mountPoint } of await listMountsBelow(root)) await layers.unmount(mountPoint);
    await rm(folder, { recursive: true });
  });
  return createClient(Snapshots, unix.transport);
}

/** Directories then and now: each of one stands for one of the other. */
class DirectoryNames {
  readonly #now = new Map<string, string>();
  readonly #then = new Map<string, string>();

  compare(found: readonly Mount[], traced: readonly TracedMount[], place: string): void {
    const shown = found.map(({ options, source, type }) => ({
      type,
      source,
      options: [...options].toSorted(),
    }));
    const [now, nowIds] = withoutIds(shown, /\/tmp\/[^:,"]*?\/snapshots\/(\d+)\//g);
    const [then, thenIds] = withoutIds(
      traced.map(({ options, source, type }) => ({ type, source, options: options.toSorted() })),
      /ROOT\/(\d+)\//g,
    );
    assert.equal(now, then, place);
    for (const [index, id] of nowIds.entries()) {
      const old = thenIds[index] ?? "";
      assert.equal(this.#now.get(old) ?? id, id, place);
      assert.equal(this.#then.get(id) ?? old, old, place);
      this.#now.set(old, id);
      this.#then.set(id, old);
    }
  }
}

function withoutIds(value: unknown, pattern: RegExp): [string, string[]] {
  const ids: string[] = [];
  const text = JSON.stringify(value).replaceAll(pattern, (_, id: string) => {
    ids.push(id);
    return "DIRECTORY/";
  });
  return [text, ids];
}

/** Asks again; resolves with the status of a failure, 0 for none. */
async function replay(client: Client<typeof Snapshots>, call: Call, names: DirectoryNames): Promise<number> {
  const { i, md = {}, req, res, rpc } = call;
  const { filters = [], key = "", labels = {}, name = "", parent = "" } = req;
  const headers = Object.fromEntries(
    Object.entries(md).filter(([header]) => header.startsWith("containerd-")),
  );
  const options = { headers };
  const place = `call ${i}, ${rpc}`;
  const check = (found: Info | undefined): void => {
    assert.ok(found !== undefined && res?.info !== undefined, place);
    const { kind, labels: had, name: called, parent: below } = res.info;
    const traced = { name: called, parent: below, kind: Kind[kind], labels: had };
    const { kind: now, labels: has, name: named, parent: on } = found;
    assert.deepEqual({ name: named, parent: on, kind: now, labels: has }, traced, place);
  };
  const calls: Readonly<Record<string, () => Promise<unknown>>> = {
    Prepare: async () =>
      names.compare(
        (await client.prepare({ key, parent, labels }, options)).mounts,
        res?.mounts ?? [],
        place,
      ),
    View: async () =>
      names.compare((await client.view({ key, parent, labels }, options)).mounts, res?.mounts ?? [], place),
    Mounts: async () =>
      names.compare((await client.mounts({ key }, options)).mounts, res?.mounts ?? [], place),
    Commit: () => client.commit({ key, name, labels, parent }, options),
    Remove: () => client.remove({ key }, options),
    Stat: async () => check((await client.stat({ key }, options)).info),
    Update: async () => {
      const info = { name: req.info?.name ?? "", labels: req.info?.labels ?? {} };
      const updateMask = { paths: req.update_mask?.paths ?? [] };
      check((await client.update({ info, updateMask }, options)).info);
    },
    List: async () => {
      const found: Info[] = [];
      for await (const { info } of client.list({ filters }, options)) found.push(...info);
      // Containerd's question after a remote Prepare must have one answer.
      if (filters.length > 0) assert.equal(found.length, 1, `${place}: ${filters.join()}`);
    },
    Usage: () => client.usage({ key }, options),
    Cleanup: () => client.cleanup({}, options),
  };
  try {
    await calls[rpc]?.();
    return 0;
  } catch (error) {
    if (error instanceof ConnectError) return error.code;
    throw error;
  }
}

for (const [file, isRemote] of [
  ["buildkit-declined.jsonl.gz", false],
  ["buildkit-lazy.jsonl.gz", true],
  ["buildkit-55-layers.jsonl.gz", true],
] as const) {
  test(`BuildKit gets the answers of ${file}`, async (t) => {
    if (process.getuid?.() !== 0) return t.skip("mounting needs root");
    const calls = await readTrace(file);
    assert.ok(calls.length > 80);
    const client = await serve(t, calls, isRemote);
    const names = new DirectoryNames();
    for (const call of calls) {
      assert.equal(await replay(client, call, names), call.err?.code ?? 0, `call ${call.i}, ${call.rpc}`);
    }
  });
}
