import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import { readKubeconfig } from "./kubeconfig.ts";
import { SecretCredentials } from "./secret-credentials.ts";

interface Cluster {
  readonly path: string;
  readonly asked: string[];
  secrets: object[];
  status: number;
  /** The header that is not accepted. */
  refused?: string;
}

function secretOf(registry: string, auth: object): object {
  const data = Buffer.from(JSON.stringify({ auths: { [registry]: auth } })).toString("base64");
  return {
    type: "kubernetes.io/dockerconfigjson",
    metadata: { name: "pull", namespace: "default" },
    data: { ".dockerconfigjson": data },
  };
}

/** An API server that lists secrets, two on a page. */
async function startCluster(t: TestContext): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), "esgz-cluster-"));
  const cluster: Cluster = { path: join(folder, "kubeconfig"), asked: [], secrets: [], status: 200 };
  const server = createServer((request, response) => {
    cluster.asked.push(`${request.headers.authorization} ${request.url}`);
    const at = Number(new URL(request.url ?? "", "http://cluster").searchParams.get("continue") ?? 0);
    const isLast = at + 2 >= cluster.secrets.length;
    const isRefused = cluster.refused === request.headers.authorization;
    response.writeHead(isRefused ? 401 : cluster.status, { "content-type": "application/json" });
    response.end(
      JSON.stringify({
        kind: "SecretList",
        metadata: isLast ? {} : { continue: String(at + 2) },
        items: cluster.secrets.slice(at, at + 2),
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true });
  });
  const { port } = server.address() as AddressInfo;
  await writeFile(
    cluster.path,
    `apiVersion: v1
kind: Config
current-context: here
contexts:
- name: other
  context: {cluster: none, user: none}
- name: here
  context:
    cluster: local
    user: node
clusters:
- name: local
  cluster:
    server: http://127.0.0.1:${port}/
users:
- name: node
  user:
    token: "secret-token"
`,
  );
  return cluster;
}

test("credentials come from all pages of the cluster's pull secrets", async (t) => {
  const cluster = await startCluster(t);
  cluster.secrets = [
    secretOf("one.test", { username: "a", password: "1" }),
    secretOf("broken.test", {}),
    secretOf("two.test", { auth: Buffer.from("b:2").toString("base64") }),
  ];
  await using credentials = new SecretCredentials({
    path: cluster.path,
    variables: process.env,
    onProblem: (problem) => assert.fail(problem),
  });
  assert.deepEqual(await credentials.credentialFor("two.test", {}), { username: "b", password: "2" });
  assert.deepEqual(await credentials.credentialFor("one.test", {}), { username: "a", password: "1" });
  assert.equal(await credentials.credentialFor("three.test", {}), undefined);
  const query = "fieldSelector=type%3Dkubernetes.io%2Fdockerconfigjson&limit=500";
  assert.deepEqual(cluster.asked, [
    `Bearer secret-token /api/v1/secrets?${query}`,
    `Bearer secret-token /api/v1/secrets?${query}&continue=2`,
  ]);
});

test("a cluster that refuses is told, without secrets, and asked again later", async (t) => {
  const cluster = await startCluster(t);
  cluster.status = 403;
  const problems: string[] = [];
  await using credentials = new SecretCredentials({
    path: cluster.path,
    variables: process.env,
    onProblem: (problem) => problems.push(problem),
  });
  assert.equal(await credentials.credentialFor("one.test", {}), undefined);
  assert.equal(problems.length, 1);
  assert.match(problems[0] ?? "", /got 403$/);
});

test("a program's token is made anew when the cluster refuses it; a token's file is read each time", async (t) => {
  const cluster = await startCluster(t);
  cluster.secrets = [secretOf("one.test", { username: "a", password: "1" })];
  const folder = dirname(cluster.path);
  const plugin = join(folder, "plugin");
  const made =
    '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t%s"}}';
  await writeFile(plugin, `#!/bin/sh\ncd ${folder}; echo >>runs; printf '${made}' $(wc -l <runs)\n`, {
    mode: 0o755,
  });
  const exec = "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, args: null}";
  const text = await readFile(cluster.path, "utf8");
  await writeFile(cluster.path, text.replace('token: "secret-token"', exec));
  const ask = async (): Promise<unknown> => {
    const problems: string[] = [];
    const onProblem = (problem: string): unknown => problems.push(problem);
    await using credentials = new SecretCredentials({
      path: cluster.path,
      variables: process.env,
      onProblem,
    });
    return (await credentials.credentialFor("one.test", {})) ?? problems;
  };
  cluster.refused = "Bearer t1";
  assert.deepEqual(await ask(), { username: "a", password: "1" });
  const tokens = cluster.asked.map((line) => line.split(" /")[0]);
  assert.deepEqual(tokens, ["Bearer t1", "Bearer t2"]);
  await writeFile(join(folder, "token"), "from a file\n");
  await writeFile(cluster.path, text.replace('token: "secret-token"', "tokenFile: token"));
  assert.deepEqual(await ask(), { username: "a", password: "1" });
  assert.match(cluster.asked.at(-1) ?? "", /^Bearer from a file /);
});

test("readKubeconfig() says what a file lacks, and nothing of what it has", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "esgz-kubeconfig-"));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, "config");
  const broken: readonly (readonly [string, RegExp])[] = [
    ["contexts: []\nclusters: []\nusers: []\n", /expected the cluster and the user of context ""/],
    ["users: 7", /Cannot use kubeconfig/],
    ["a: [", /Cannot use kubeconfig/],
  ];
  for (const [text, message] of broken) {
    await writeFile(path, text);
    await assert.rejects(readKubeconfig(path), { code: "CONFIGURATION_INVALID", message });
  }
  await writeFile(
    path,
    JSON.stringify({
      contexts: [{ name: "c", context: { cluster: "k", user: "u" } }],
      clusters: [{ name: "k", cluster: { server: "https://k.test", "certificate-authority-data": "Y2E=" } }],
      users: [{ name: "u", user: { "client-certificate-data": "Y2VydA==", "client-key": "key.pem" } }],
    }),
  );
  await writeFile(join(folder, "key.pem"), "key");
  const { ca, cert, key, server, authorization } = await readKubeconfig(path);
  assert.equal(server, "https://k.test");
  assert.deepEqual(
    [ca, cert, key].map((bytes) => Buffer.from(bytes ?? []).toString()),
    ["ca", "cert", "key"],
  );
  assert.equal(authorization, undefined);
});
