// A registry in a directory, killed in the middle of its work.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { startRegistryServer } from "../../src/registry-server/index.ts";
import { beginUpload, digestOf, pushBlob, pushImage } from "./registry-fixture.ts";

const MODULE = new URL("../../src/registry-server/index.ts", import.meta.url).href;
const PROGRAM = `
  import { startRegistryServer } from ${JSON.stringify(MODULE)};
  const server = await startRegistryServer({ root: process.argv[1] });
  console.log(server.url);
`;

interface ChildRegistry extends AsyncDisposable {
  readonly url: string;
  /** As `kill -9`. */
  kill(): Promise<void>;
}

async function startChild(root: string): Promise<ChildRegistry> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", PROGRAM, root], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exited;
  };
  const [url] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  return { url, kill, [Symbol.asyncDispose]: kill };
}

async function withRoot(work: (root: string) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), "esgz-registry-"));
  try {
    await work(root);
  } finally {
    await rm(root, { recursive: true });
  }
}

test("an upload that was under way when the server was killed can be resumed", async () => {
  await withRoot(async (root) => {
    const whole = Buffer.alloc(3_000_000, "abcdefg");
    await using child = await startChild(root);
    const location = new URL(await beginUpload(child.url, "app"));
    const first = await fetch(location, { method: "PATCH", body: whole.subarray(0, 1_000_000) });
    assert.equal(first.status, 202);
    const socket = connect(Number(location.port), location.hostname);
    socket.on("error", () => undefined);
    socket.write(`PATCH ${location.pathname} HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n`);
    socket.write(whole.subarray(1_000_000, 2_500_000));
    await storedBeyond(location, 1_000_000);
    await child.kill();
    socket.destroy();

    await using server = await startRegistryServer({ root });
    const resumed = new URL(location.pathname, server.url);
    const status = await fetch(resumed);
    assert.equal(status.status, 204);
    const stored = Number(status.headers.get("range")?.split("-")[1]) + 1;
    assert.ok(stored > 1_000_000 && stored <= 2_500_000, `${stored} bytes`);
    const digest = digestOf(whole);
    const rest = whole.subarray(stored);
    const put = await fetch(`${resumed.href}?digest=${digest}`, { method: "PUT", body: rest });
    assert.equal(put.status, 201);
    const got = Buffer.from(await (await fetch(`${server.url}/v2/app/blobs/${digest}`)).arrayBuffer());
    assert.ok(got.equals(whole));
  });
});

test("a registry that was killed while images were pushed has each of them wholly or not at all", async () => {
  await withRoot(async (root) => {
    await using child = await startChild(root);
    const digests: string[] = [];
    const reached = Promise.withResolvers<void>();
    const pusher = async (lane: number): Promise<void> => {
      for (let at = 0; ; at += 1) {
        const reference = `v${lane}.${at}`;
        digests.push(await pushImage(child.url, { repository: "app", reference }, { layer: reference }));
        if (digests.length > 30) reached.resolve();
      }
    };
    const pushers = [0, 1, 2, 3].map((lane) => pusher(lane).catch(() => undefined));
    await reached.promise;
    await child.kill();
    await Promise.all(pushers);

    await using server = await startRegistryServer({ root });
    for (const digest of digests) {
      assert.equal((await fetch(`${server.url}/v2/app/manifests/${digest}`)).status, 200);
    }
    const { tags } = (await (await fetch(`${server.url}/v2/app/tags/list`)).json()) as { tags: string[] };
    assert.ok(tags.length >= digests.length);
    for (const tag of tags) await assertWhole(server.url, tag);
    const report = await server.collectGarbage({ graceMs: 0 });
    assert.ok(report.contentKept >= 2 * digests.length);
    for (const tag of tags) await assertWhole(server.url, tag);
  });
});

test("what a push was told is stored is there after a kill", async () => {
  await withRoot(async (root) => {
    await using child = await startChild(root);
    const digest = await pushBlob(child.url, "app", "hello");
    await child.kill();
    await using server = await startRegistryServer({ root });
    assert.equal(await (await fetch(`${server.url}/v2/app/blobs/${digest}`)).text(), "hello");
  });
});

/** Every blob that the tag's manifest names is there, with its digest. */
async function assertWhole(url: string, tag: string): Promise<void> {
  const manifest = (await (await fetch(`${url}/v2/app/manifests/${tag}`)).json()) as {
    readonly config: { readonly digest: string };
    readonly layers: readonly { readonly digest: string }[];
  };
  for (const { digest } of [manifest.config, ...manifest.layers]) {
    const blob = await fetch(`${url}/v2/app/blobs/${digest}`);
    assert.equal(digestOf(await blob.text()), digest);
  }
}

/** Asks for the status until the server has stored more than `size` bytes. */
async function storedBeyond(location: URL, size: number): Promise<void> {
  for (let stored = 0; stored <= size;) {
    const range = (await fetch(location)).headers.get("range") ?? "";
    stored = Number(range.split("-")[1]) + 1;
  }
}
