import assert from "node:assert/strict";
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { isEsgzError } from "../errors/index.ts";
import { parseHelperAnswer } from "./credential-helper.ts";
import { configFiles, createDockerCredentials } from "./docker-credentials.ts";
import { createHelperRunner } from "./spawn-helper.ts";

async function makeHome(t: TestContext, files: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), "esgz-home-"));
  t.after(() => rm(home, { recursive: true, force: true }));
  for (const [name, value] of Object.entries(files)) {
    await mkdir(join(home, name, ".."), { recursive: true });
    await writeFile(join(home, name), typeof value === "string" ? value : JSON.stringify(value));
  }
  return home;
}

/** A real program in a directory for PATH. */
async function makeHelper(home: string, name: string, script: string): Promise<string> {
  await mkdir(join(home, "bin"), { recursive: true });
  const file = join(home, "bin", `docker-credential-${name}`);
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
  return `${join(home, "bin")}:/usr/bin:/bin`;
}

const USER = { username: "user", password: "secret" };
const STORED = { auths: { "x.io": { auth: "dXNlcjpzZWNyZXQ=" } } };

test("configFiles() looks where Docker and podman keep credentials", () => {
  assert.deepEqual(configFiles({ home: "/h", env: {} }), [
    "/h/.docker/config.json",
    "/h/.config/containers/auth.json",
  ]);
  const env = {
    DOCKER_CONFIG: "/d",
    REGISTRY_AUTH_FILE: "/a.json",
    XDG_RUNTIME_DIR: "/r",
    XDG_CONFIG_HOME: "/c",
  };
  assert.deepEqual(configFiles({ home: "/h", env }), [
    "/a.json",
    "/d/config.json",
    "/r/containers/auth.json",
    "/c/containers/auth.json",
  ]);
  assert.deepEqual(configFiles({ home: "/h", env, configPath: "/only.json" }), ["/only.json"]);
});

test("credentialFor() reads files in order, anew each time, and is anonymous without any", async (t) => {
  const home = await makeHome(t, { ".config/containers/auth.json": STORED });
  const credentials = createDockerCredentials({ home, env: {} });
  assert.deepEqual(await credentials.credentialFor("x.io", {}), USER);
  assert.equal(await credentials.credentialFor("y.io", {}), undefined);
  await mkdir(join(home, ".docker"));
  await writeFile(join(home, ".docker/config.json"), '{"auths":{"x.io":{"username":"new","password":"er"}}}');
  assert.deepEqual(await credentials.credentialFor("x.io", {}), { username: "new", password: "er" });
});

test("credentialFor() reports a broken file without its content", async (t) => {
  const home = await makeHome(t, { ".docker/config.json": '{"auths":{"x.io":{"password":"secret"' });
  await assert.rejects(
    createDockerCredentials({ home, env: {} }).credentialFor("x.io", {}),
    (error: Error) => {
      return isEsgzError(error, "CREDENTIALS_INVALID") && !error.message.includes("secret");
    },
  );
});

test("saveCredential() and eraseCredential() keep other fields, mode 0600, links, and leave no other file", async (t) => {
  const home = await makeHome(t, { "real.json": { psFormat: "x", auths: { "y.io": { auth: "eTp5" } } } });
  await mkdir(join(home, ".docker"));
  await symlink(join(home, "real.json"), join(home, ".docker/config.json"));
  const credentials = createDockerCredentials({ home, env: {} });
  await credentials.saveCredential("x.io", USER);
  assert.deepEqual(JSON.parse(await readFile(join(home, "real.json"), "utf8")), {
    psFormat: "x",
    auths: { "y.io": { auth: "eTp5" }, ...STORED.auths },
  });
  assert.equal((await stat(join(home, "real.json"))).mode & 0o777, 0o600);
  assert.ok((await lstat(join(home, ".docker/config.json"))).isSymbolicLink());
  assert.equal(await credentials.eraseCredential("x.io"), true);
  assert.equal(await credentials.eraseCredential("x.io"), false);
  assert.equal(await credentials.credentialFor("x.io", {}), undefined);
  assert.deepEqual((await readdir(home)).toSorted(), [".docker", "real.json"]);
});

test("saveCredential() makes the file and its directory where there are none", async (t) => {
  const home = await makeHome(t);
  const credentials = createDockerCredentials({ home, env: {} });
  await credentials.saveCredential("docker.io", USER);
  assert.equal((await stat(join(home, ".docker/config.json"))).mode & 0o777, 0o600);
  assert.deepEqual(await credentials.credentialFor("docker.io", { repository: "library/x" }), USER);
});

test("a helper program stores, gives and erases", async (t) => {
  const home = await makeHome(t, { ".docker/config.json": { credsStore: "box" } });
  const script = `
case "$1" in
  store) cat > "$BOX" ;;
  get) read -r server; [ "$server" = "https://index.docker.io/v1/" ] && [ -f "$BOX" ] && cat "$BOX" || { echo "credentials not found in native keychain"; exit 1; } ;;
  erase) rm -f "$BOX" ;;
esac`;
  const env = { PATH: await makeHelper(home, "box", script), BOX: join(home, "box.json") };
  const credentials = createDockerCredentials({ home, env });
  assert.equal(await credentials.credentialFor("docker.io", {}), undefined);
  await credentials.saveCredential("docker.io", USER);
  assert.deepEqual(JSON.parse(await readFile(env.BOX, "utf8")), {
    ServerURL: "https://index.docker.io/v1/",
    Username: "user",
    Secret: "secret",
  });
  assert.doesNotMatch(await readFile(join(home, ".docker/config.json"), "utf8"), /secret|dXNlcj/);
  assert.deepEqual(await credentials.credentialFor("docker.io", {}), USER);
  assert.equal(await credentials.eraseCredential("docker.io"), true);
  assert.equal(await credentials.credentialFor("docker.io", {}), undefined);
});

test("a helper is asked for its own registry only", async (t) => {
  const registry = "123.dkr.ecr.us-east-1.amazonaws.com";
  const home = await makeHome(t, {
    ".docker/config.json": { credHelpers: { [registry]: "ecr-login" }, ...STORED },
  });
  const calls: unknown[] = [];
  const credentials = createDockerCredentials({
    home,
    env: {},
    runHelper: ({ program, action, input }) => {
      calls.push([program, action, input]);
      return Promise.resolve({ exitCode: 0, stdout: '{"Username":"<token>","Secret":"id"}' });
    },
  });
  assert.deepEqual(await credentials.credentialFor(registry, {}), { identityToken: "id" });
  assert.deepEqual(await credentials.credentialFor("x.io", {}), USER);
  assert.deepEqual(calls, [["docker-credential-ecr-login", "get", registry]]);
});

test("helpers that fail, hang, print too much or are missing are typed errors without their output", async (t) => {
  const home = await makeHome(t);
  const cases: [string, string, string][] = [
    ["fails", "echo secret; echo secret >&2; exit 3", "CREDENTIALS_INVALID"],
    ["garbage", "echo '{secret'", "CREDENTIALS_INVALID"],
    ["hangs", "exec sleep 60", "TIMED_OUT"],
    ["floods", "exec cat /dev/zero", "LIMIT_EXCEEDED"],
  ];
  for (const [name, script, code] of cases) {
    const env = { PATH: await makeHelper(home, name, script) };
    const runHelper = createHelperRunner({ env, timeoutMs: name === "hangs" ? 100 : 30_000 });
    const configPath = join(home, `${name}.json`);
    await writeFile(configPath, JSON.stringify({ credsStore: name }));
    const credentials = createDockerCredentials({ home, env, configPath, runHelper });
    await assert.rejects(credentials.credentialFor("x.io", {}), (error: Error) => {
      assert.ok(isEsgzError(error), String(error));
      assert.equal(error.code, code, name);
      return !error.message.includes("secret");
    });
  }
  const configPath = join(home, "none.json");
  for (const credsStore of ["missing", "../evil"]) {
    await writeFile(configPath, JSON.stringify({ credsStore }));
    const credentials = createDockerCredentials({ home, env: { PATH: "/usr/bin:/bin" }, configPath });
    await assert.rejects(credentials.credentialFor("x.io", {}), { code: "CREDENTIALS_INVALID" });
  }
});

test("a helper run ends with its signal", async (t) => {
  const home = await makeHome(t);
  const run = createHelperRunner({ env: { PATH: await makeHelper(home, "hangs", "exec sleep 60") } });
  const controller = new AbortController();
  const reason = new Error("enough");
  const call = {
    program: "docker-credential-hangs",
    action: "get",
    input: "x",
    signal: controller.signal,
  } as const;
  const running = run(call);
  controller.abort(reason);
  await assert.rejects(running, reason);
});

test("parseHelperAnswer() gives a credential, nothing, or a typed error for any text", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        parseHelperAnswer(text, "x");
      } catch (error) {
        assert.ok(isEsgzError(error, "CREDENTIALS_INVALID"));
      }
    }),
  );
});
