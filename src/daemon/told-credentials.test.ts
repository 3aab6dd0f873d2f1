import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { LearnedCredentials } from "./learned-credentials.ts";
import { tellCredentials } from "./tell-credentials.ts";
import { parseToldCredentials, serveCredentials } from "./told-credentials.ts";

async function directoryFor(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "esgz-told-"));
  t.after(() => rm(directory, { recursive: true }));
  return directory;
}

const text = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

test("what an engine tells is learned, stays over a restart, and is taken back by a pull without credentials", async (t) => {
  const directory = await directoryFor(t);
  const open = async (): Promise<LearnedCredentials> =>
    await LearnedCredentials.open({ directory, onProblem: (problem) => assert.fail(problem) });
  const learned = await open();
  const socket = join(directory, "store.sock");
  await using _server = await serveCredentials(learned, { path: socket });
  const [app, other] = ["registry.test/team/app:1", "registry.test/team/other@sha256:" + "a".repeat(64)];
  await tellCredentials(
    text({ [app]: { username: "u", password: "p" }, [other]: { identityToken: "t", username: "ignored" } }),
    { socket },
  );
  const ask = async (repository: string): Promise<unknown> =>
    await (await open()).credentialFor("registry.test", { repository });
  assert.deepEqual(await ask("team/app"), { username: "u", password: "p" });
  assert.deepEqual(await ask("team/other"), { identityToken: "t" });
  await tellCredentials(text({ [app]: {} }), { socket });
  assert.equal(await ask("team/app"), undefined);
  await tellCredentials(new Uint8Array(), { socket });
  assert.deepEqual(await ask("team/other"), { identityToken: "t" });
});

test("what is no such JSON is refused without a word of it, and nobody at the socket is an error", async (t) => {
  const socket = join(await directoryFor(t), "none.sock");
  const bad = [
    Buffer.from('{"secret'),
    text([1]),
    text("secret"),
    text({ a: { username: 7 } }),
    text({ a: "secret" }),
  ];
  for (const data of bad) {
    assert.throws(
      () => parseToldCredentials(data),
      (error: Error) => {
        assert.match(error.message, /^Cannot read credentials for a layer store: expected /);
        return !error.message.includes("secret");
      },
    );
  }
  await assert.rejects(tellCredentials(text({}), { socket }), { code: "DAEMON_UNAVAILABLE" });
});
