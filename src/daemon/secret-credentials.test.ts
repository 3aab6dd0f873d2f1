import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { readKubeconfig } from "./kubeconfig.ts";
import { SecretCredentials } from "./secret-credentials.ts";

interface Cluster {
  readonly path: string;
  readonly asked: string[];
  secrets: object[];
  status: number;
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
    response.writeHead(cluster.status, { "content-type": "application/json" });
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
    onProblem: (problem) => problems.push(problem),
  });
  assert.equal(await credentials.credentialFor("one.test", {}), undefined);
  assert.equal(problems.length, 1);
  assert.match(problems[0] ?? "", /got 403$/);
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
