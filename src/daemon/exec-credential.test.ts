import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { setImmediate } from "node:timers/promises";
import { ExecCredentials, type ExecPlugin } from "./exec-credential.ts";
import { readKubeconfig } from "./kubeconfig.ts";

const V1 = "client.authentication.k8s.io/v1";
const variables = { PATH: process.env["PATH"], GIVEN: "by the daemon" };

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "esgz-plugin-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

/** A program that counts its runs in `runs` and keeps what it is told in `told`. */
async function program(folder: string, script: string): Promise<ExecPlugin> {
  const command = join(folder, "plugin");
  const lines = `#!/bin/sh\ncd ${folder}\necho run >>runs\necho "$KUBERNETES_EXEC_INFO" >told\n${script}\n`;
  await writeFile(command, lines, { mode: 0o755 });
  return { apiVersion: V1, command, args: [], env: {} };
}

const answer = (status: object, apiVersion = V1): string =>
  `cat <<'END'\n${JSON.stringify({ kind: "ExecCredential", apiVersion, status })}\nEND`;
const runsIn = async (folder: string): Promise<number> =>
  (await readFile(join(folder, "runs"), "utf8")).split("\n").length - 1;

test("a program's token is believed until it expires, or until a cluster refuses it", async (t) => {
  const folder = await folderFor(t);
  const credentials = new ExecCredentials({ variables });
  const lasting = await program(
    folder,
    answer({ token: "first", expirationTimestamp: "2999-01-01T00:00:00Z" }),
  );
  assert.equal((await credentials.get(lasting)).token, "first");
  assert.equal((await credentials.get(lasting)).token, "first");
  assert.equal(await runsIn(folder), 1);
  credentials.forget();
  await credentials.get(lasting);
  assert.equal(await runsIn(folder), 2);
  const ending = await program(folder, answer({ token: "old", expirationTimestamp: "2020-01-01T00:00:00Z" }));
  credentials.forget();
  await credentials.get(ending);
  await credentials.get(ending);
  assert.equal(await runsIn(folder), 4);
});

test("a program gets its arguments, its environment and the daemon's, and what kubectl tells it; a certificate is a credential, too", async (t) => {
  const folder = await folderFor(t);
  await program(
    folder,
    `echo "$GIVEN, $OWN, $1 $2" >seen\n${answer({ clientCertificateData: "cert", clientKeyData: "key" })}`,
  );
  const path = join(folder, "kubeconfig");
  const cluster = {
    server: "https://k.test/",
    "certificate-authority-data": "Y2E=",
    extensions: [{ name: "client.authentication.k8s.io/exec", extension: { audience: "a" } }],
  };
  const exec = {
    apiVersion: V1,
    command: "./plugin",
    args: ["--one", "two words"],
    env: [{ name: "OWN", value: "by the file" }],
    provideClusterInfo: true,
    interactiveMode: "IfAvailable",
  };
  await writeFile(
    path,
    JSON.stringify({
      contexts: [{ name: "c", context: { cluster: "k", user: "u" } }],
      clusters: [{ name: "k", cluster }],
      users: [{ name: "u", user: { exec } }],
    }),
  );
  const access = await readKubeconfig(path);
  assert.ok(access.exec !== undefined);
  const { cert, key, token } = await new ExecCredentials({ variables }).get(access.exec);
  assert.deepEqual([Buffer.from(cert ?? []).toString(), Buffer.from(key ?? []).toString()], ["cert", "key"]);
  assert.equal(token, undefined);
  assert.equal(await readFile(join(folder, "seen"), "utf8"), "by the daemon, by the file, --one two words\n");
  assert.deepEqual(JSON.parse(await readFile(join(folder, "told"), "utf8")), {
    kind: "ExecCredential",
    apiVersion: V1,
    spec: {
      interactive: false,
      cluster: {
        server: "https://k.test/",
        "certificate-authority-data": "Y2E=",
        config: { audience: "a" },
      },
    },
  });
});

test("a program that fails, says too much or nothing of use is told, without what it said", async (t) => {
  const folder = await folderFor(t);
  const broken: readonly (readonly [string, RegExp])[] = [
    ["exit 3", /expected exit status 0, got 3/],
    ["echo secret", /expected JSON/],
    [answer({ token: "secret" }, "client.authentication.k8s.io/v1beta1"), /expected an answer of /],
    [answer({}), /expected a token/],
    [answer({ token: "secret", clientKeyData: "secret" }), /expected a token/],
    [answer({ token: 7, secret: 1 }), /at "status.token"/],
    [answer({ token: "secret", expirationTimestamp: "secret" }), /at "status.expirationTimestamp"/],
    ["yes secret | head -c 3000000", /expected at most 1048576 bytes, got more/],
  ];
  for (const [script, message] of broken) {
    const credentials = new ExecCredentials({ variables });
    await assert.rejects(credentials.get(await program(folder, script)), (error: Error) => {
      assert.match(error.message, message);
      return !error.message.includes("secret");
    });
  }
  const missing = { apiVersion: V1, command: "/none/plugin", args: [], env: {}, installHint: "Install it" };
  await assert.rejects(new ExecCredentials({ variables }).get(missing), {
    code: "CREDENTIALS_INVALID",
    message: 'Cannot get a credential from "/none/plugin": expected a program, got none; Install it',
  });
});

test("a program that does not end is ended, with what it started", { timeout: 60_000 }, async (t) => {
  const folder = await folderFor(t);
  const endless = await program(folder, "sleep 1000 & echo $! >child; wait");
  await assert.rejects(new ExecCredentials({ variables, timeoutMs: 10_000 }).get(endless), {
    code: "CREDENTIALS_INVALID",
    message: /expected it to end in time$/,
  });
  const child = (await readFile(join(folder, "child"), "utf8")).trim();
  const state = async (): Promise<string> =>
    await readFile(`/proc/${child}/stat`, "latin1").catch(() => "gone ) Z");
  // What a process has open is closed a moment before it is dead; one that nobody kills sleeps on.
  while (!/\) [ZX]/.test(await state())) await setImmediate();
});

test("a program that needs a terminal, or is of an unknown kind, is refused", async (t) => {
  const path = join(await folderFor(t), "kubeconfig");
  for (const [exec, message] of [
    [{ apiVersion: V1, command: "x", interactiveMode: "Always" }, /needs no terminal/],
    [{ apiVersion: "client.authentication.k8s.io/v7", command: "x" }, /exec.apiVersion/],
  ] as const) {
    await writeFile(
      path,
      JSON.stringify({
        contexts: [{ name: "c", context: { cluster: "k", user: "u" } }],
        clusters: [{ name: "k", cluster: { server: "https://k.test" } }],
        users: [{ name: "u", user: { exec } }],
      }),
    );
    await assert.rejects(readKubeconfig(path), { code: "CONFIGURATION_INVALID", message });
  }
});
