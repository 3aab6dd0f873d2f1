import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { EsgzError } from "../errors/index.ts";
import { LearnedCredentials } from "./learned-credentials.ts";

const SECRET = { username: "a user", password: "a secret" };

async function directoryFor(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "esgz-credentials-"));
  t.after(() => rm(directory, { recursive: true }));
  return directory;
}

async function openQuietly(directory: string): Promise<LearnedCredentials> {
  return await LearnedCredentials.open({ directory, onProblem: (problem) => assert.fail(problem) });
}

test("credentials answer for the repository that they were learned with, also after a restart", async (t) => {
  const directory = await directoryFor(t);
  const first = await openQuietly(directory);
  await first.learn("registry.test:5000/team/app:1", SECRET);
  await first.learn("registry.test:5000/other/app@sha256:" + "a".repeat(64), { identityToken: "t" });
  const again = await openQuietly(directory);
  const ask = async (registry: string, repository?: string): Promise<unknown> =>
    await again.credentialFor(registry, repository === undefined ? {} : { repository });
  assert.deepEqual(await ask("registry.test:5000", "team/app"), SECRET);
  assert.deepEqual(await ask("registry.test:5000", "other/app"), { identityToken: "t" });
  assert.deepEqual(await ask("registry.test:5000"), { identityToken: "t" });
  assert.equal(await ask("registry.test:5000", "third/app"), undefined);
  assert.equal(await ask("registry.test", "team/app"), undefined);
});

test("no file tells a credential, and only the owner may read them", async (t) => {
  const directory = await directoryFor(t);
  const credentials = await openQuietly(directory);
  await credentials.learn("registry.test/team/app", SECRET);
  for (const name of ["credentials", "credentials.key"]) {
    const path = join(directory, name);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    const bytes = await readFile(path);
    for (const text of ["a secret", "a user", "registry.test"]) assert.ok(!bytes.includes(text));
  }
});

test("a pull that fails leaves what was known before; a removed image leaves nothing", async (t) => {
  const directory = await directoryFor(t);
  const credentials = await openQuietly(directory);
  const name = "registry.test/team/app:1";
  const ask = async (): Promise<unknown> =>
    await credentials.credentialFor("registry.test", { repository: "team/app" });
  await credentials.learn(name, SECRET);
  await credentials.learn(name, { username: "user", password: "wrong" });
  await credentials.refuse(name);
  assert.deepEqual(await ask(), SECRET);
  await credentials.learn(name, undefined);
  assert.equal(await ask(), undefined);
  await credentials.learn(name, SECRET);
  await credentials.forget(name);
  assert.equal(await ask(), undefined);
});

test("a file that was changed, or has another key, is told and begun anew", async (t) => {
  const directory = await directoryFor(t);
  await (await openQuietly(directory)).learn("registry.test/team/app", SECRET);
  const path = join(directory, "credentials");
  const text = await readFile(path, "utf8");
  for (const damage of [
    // Another character of the password: nothing but its seal tells.
    async () =>
      await writeFile(
        path,
        text.replace(/(?<="data":")[^"]+/, (data) => {
          const bytes = Buffer.from(data, "base64");
          const at = bytes.length - `t"}]]`.length;
          bytes[at] = (bytes[at] ?? 0) ^ 1;
          return bytes.toString("base64");
        }),
      ),
    async () => await writeFile(path, "{}"),
    async () => await writeFile(join(directory, "credentials.key"), Buffer.alloc(32)),
  ]) {
    await damage();
    const problems: EsgzError[] = [];
    const credentials = await LearnedCredentials.open({
      directory,
      onProblem: (problem) => problems.push(problem),
    });
    assert.deepEqual(
      problems.map(({ code }) => code),
      ["CREDENTIALS_INVALID"],
    );
    assert.equal(await credentials.credentialFor("registry.test", { repository: "team/app" }), undefined);
    await credentials.learn("registry.test/team/app", SECRET);
    assert.deepEqual(await (await openQuietly(directory)).credentialFor("registry.test", {}), SECRET);
    await writeFile(path, text);
  }
});
