import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../test/registry/fake-clock.ts";
import {
  answer,
  type Script,
  type ScriptedServer,
  startScriptedServer,
} from "../../test/registry/scripted-server.ts";
import type { Credential } from "./credential.ts";
import { RegistryClient, type RegistryClientOptions } from "./registry-client.ts";

const MANIFEST =
  '{"schemaVersion":2,"config":{"mediaType":"c","digest":"sha256:' +
  "0".repeat(64) +
  '","size":1},"layers":[]}';

interface TokenServer {
  readonly registry: ScriptedServer;
  readonly tokens: ScriptedServer;
  readonly valid: Set<string>;
}

/** A registry with a token server beside it; `issue` makes the token server's answer from the scopes it sees. */
async function withTokenServer(
  use: (servers: TokenServer, client: RegistryClient, clock: FakeClock) => Promise<void>,
  options: RegistryClientOptions & {
    readonly credential?: Credential | undefined;
    readonly token?: Script;
    readonly refuse?: Script;
  } = {},
): Promise<void> {
  const valid = new Set<string>();
  let issued = 0;
  const issue: Script = (_request, response) => {
    issued += 1;
    const token = `token-${issued}`;
    valid.add(token);
    answer(response, 200, {}, JSON.stringify({ token, expires_in: 300 }));
  };
  await using tokens = await startScriptedServer(options.token ?? issue);
  await using registry = await startScriptedServer(async (request, response) => {
    const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? "")?.[1];
    if (token !== undefined && valid.has(token))
      return answer(
        response,
        200,
        { "content-type": "application/vnd.oci.image.manifest.v1+json" },
        MANIFEST,
      );
    if (options.refuse !== undefined && token !== undefined) return await options.refuse(request, response);
    const repository = /^\/v2\/(.*)\/manifests/.exec(request.url)?.[1] ?? "";
    const scope = repository === "" ? "" : `,scope="repository:${repository}:pull"`;
    answer(response, 401, {
      "www-authenticate": `Bearer realm="${tokens.url}/token?x=1",service="svc"${scope}`,
    });
  });
  const clock = new FakeClock();
  const credentials = { credentialFor: () => Promise.resolve(options.credential) };
  await using client = new RegistryClient({ clock, credentials, ...options });
  await use({ registry, tokens, valid }, client, clock);
}

test("an anonymous token is fetched once per scope and used until shortly before it expires", async () => {
  await withTokenServer(async ({ registry, tokens }, client, clock) => {
    const a = client.repository({ registry: registry.host, repository: "a" });
    await a.fetchManifest("latest");
    await a.fetchManifest("latest");
    assert.deepEqual(
      tokens.requests.map(({ url, headers }) => [url, headers.authorization]),
      [["/token?x=1&service=svc&scope=repository%3Aa%3Apull", undefined]],
    );
    await client.repository({ registry: registry.host, repository: "b" }).fetchManifest("latest");
    assert.equal(tokens.requests.length, 2);
    clock.now += 269_000;
    await a.fetchManifest("latest");
    assert.equal(tokens.requests.length, 2);
    clock.now += 2_000;
    await a.fetchManifest("latest");
    assert.equal(tokens.requests.length, 3);
  });
});

test("a token server that is gone is looked for anew, where the registry says that it is now", async () => {
  let tokenUrl = "";
  const issue =
    (name: string): Script =>
    ({ headers }, response) => {
      const isGone = !tokenUrl.endsWith(headers.host ?? "");
      answer(response, isGone ? 404 : 200, {}, JSON.stringify({ token: name, expires_in: 300 }));
    };
  await using first = await startScriptedServer(issue("first"));
  await using second = await startScriptedServer(issue("second"));
  await using registry = await startScriptedServer(({ headers }, response) => {
    const wanted = tokenUrl === second.url ? "Bearer second" : "Bearer first";
    const type = { "content-type": "application/vnd.oci.image.manifest.v1+json" };
    if (tokenUrl === "" || headers.authorization === wanted) answer(response, 200, type, MANIFEST);
    else answer(response, 401, { "www-authenticate": `Bearer realm="${tokenUrl}/token"` });
  });
  const clock = new FakeClock();
  await using client = new RegistryClient({ clock });
  const repository = client.repository({ registry: registry.host, repository: "a" });
  // At last there is none.
  for (const url of [first.url, second.url, ""]) {
    tokenUrl = url;
    const { descriptor } = await repository.fetchManifest("latest");
    assert.equal(descriptor.size, MANIFEST.length);
    clock.now += 600_000;
  }
});

test("concurrent requests share one token request", async () => {
  await withTokenServer(async ({ registry, tokens }, client) => {
    await client.ping(registry.host);
    const before = tokens.requests.length;
    const a = client.repository({ registry: registry.host, repository: "a" });
    await Promise.all(Array.from({ length: 8 }, () => a.fetchManifest("latest")));
    assert.equal(tokens.requests.length - before, 1);
  });
});

test("user and password go to the token server, not to the registry", async () => {
  await withTokenServer(
    async ({ registry, tokens }, client) => {
      await client.repository({ registry: registry.host, repository: "a" }).fetchManifest("latest");
      assert.equal(tokens.requests[0]?.headers.authorization, "Basic dXNlcjpzZWNyZXQ=");
      assert.deepEqual(
        registry.requests.map(({ headers }) => headers.authorization),
        [undefined, "Bearer token-1"],
      );
    },
    { credential: { username: "user", password: "secret" } },
  );
});

test("an identity token is exchanged by POST", async () => {
  await withTokenServer(
    async ({ registry, tokens }, client) => {
      await client.repository({ registry: registry.host, repository: "a" }).fetchManifest("latest");
      const [request] = tokens.requests;
      assert.deepEqual([request?.method, request?.headers.authorization], ["POST", undefined]);
      assert.deepEqual(Object.fromEntries(new URLSearchParams(request?.body.toString())), {
        service: "svc",
        scope: "repository:a:pull",
        grant_type: "refresh_token",
        client_id: "esgz",
        refresh_token: "refresh me",
      });
    },
    { credential: { identityToken: "refresh me" } },
  );
});

test("a registry token is sent as it is", async () => {
  await withTokenServer(
    async ({ registry, tokens, valid }, client) => {
      valid.add("given");
      await client.repository({ registry: registry.host, repository: "a" }).fetchManifest("latest");
      assert.equal(registry.requests[1]?.headers.authorization, "Bearer given");
      assert.equal(tokens.requests.length, 0);
    },
    { credential: { registryToken: "given" } },
  );
});

for (const status of [401, 403]) {
  test(`a token that the registry takes back (${status}) is renewed once`, async () => {
    const refuse: Script = (_request, response) => {
      answer(response, status, status === 401 ? { "www-authenticate": "Bearer error=invalid_token" } : {});
    };
    await withTokenServer(
      async ({ registry, tokens, valid }, client) => {
        const a = client.repository({ registry: registry.host, repository: "a" });
        await a.fetchManifest("latest");
        valid.clear();
        await a.fetchManifest("latest");
        assert.equal(tokens.requests.length, 2);
      },
      { refuse },
    );
  });
}

test("a token that several requests find taken back is renewed once, also for those that hear of it later", async () => {
  const renewed = Promise.withResolvers<void>();
  let refusals = 0;
  const refuse: Script = async (_request, response) => {
    refusals += 1;
    if (refusals > 1) await renewed.promise;
    answer(response, 401, { "www-authenticate": "Bearer error=invalid_token" });
  };
  await withTokenServer(
    async ({ registry, tokens, valid }, client) => {
      const a = client.repository({ registry: registry.host, repository: "a" });
      await a.fetchManifest("latest");
      valid.clear();
      const fetches = [1, 2, 3].map(() => a.fetchManifest("latest"));
      await Promise.race(fetches);
      renewed.resolve();
      await Promise.all(fetches);
      assert.deepEqual([refusals, tokens.requests.length], [3, 2]);
    },
    { refuse },
  );
});

test("a credential is asked for anew once for requests that are refused at once", async () => {
  const all = Promise.withResolvers<void>();
  let refusals = 0;
  const refuse: Script = async (_request, response) => {
    refusals += 1;
    if (refusals === 3) all.resolve();
    await all.promise;
    answer(response, 401, { "www-authenticate": "Bearer error=invalid_token" });
  };
  let questions = 0;
  const credentialFor = async (): Promise<Credential> => {
    questions += 1;
    const password = String(questions);
    await new Promise((resolve) => setImmediate(resolve));
    return { username: "user", password };
  };
  await withTokenServer(
    async ({ registry, valid }, client) => {
      const a = client.repository({ registry: registry.host, repository: "a" });
      await a.fetchManifest("latest");
      valid.clear();
      await Promise.all([1, 2, 3].map(() => a.fetchManifest("latest")));
      assert.deepEqual([refusals, questions], [3, 2]);
    },
    { refuse, credentials: { credentialFor } },
  );
});

test("a fresh token that is refused is not asked for again", async () => {
  const token: Script = (_request, response) => answer(response, 200, {}, '{"token":"useless"}');
  await withTokenServer(
    async ({ registry, tokens }, client) => {
      const a = client.repository({ registry: registry.host, repository: "a" });
      await assert.rejects(a.fetchManifest("latest"), { code: "REGISTRY_UNAUTHORIZED" });
      assert.deepEqual([tokens.requests.length, registry.requests.length], [1, 2]);
    },
    { token },
  );
});

test("insufficient_scope gets a token of the wider scope", async () => {
  const refuse: Script = (_request, response) => {
    const scope = 'scope="repository:other:pull"';
    answer(response, 403, { "www-authenticate": `Bearer error="insufficient_scope",${scope}` });
  };
  const token: Script = (request, response) => {
    const wide = request.url.includes("other");
    answer(response, 200, {}, JSON.stringify({ token: wide ? "wide" : "narrow" }));
  };
  await withTokenServer(
    async ({ registry, tokens, valid }, client) => {
      valid.add("wide");
      await client.repository({ registry: registry.host, repository: "a" }).fetchManifest("latest");
      assert.deepEqual(
        tokens.requests.map(({ url }) => new URL(url, "http://x").searchParams.getAll("scope")),
        [["repository:a:pull"], ["repository:a:pull", "repository:other:pull"]],
      );
    },
    { refuse, token },
  );
});

test("a token server's refusal is the caller's error, with its words and without secrets", async () => {
  const token: Script = (_request, response) =>
    answer(response, 401, {}, '{"details":"incorrect username or password"}');
  await withTokenServer(
    async ({ registry }, client) => {
      await assert.rejects(client.ping(registry.host), (error: Error & { code?: string }) => {
        assert.equal(error.code, "REGISTRY_UNAUTHORIZED");
        assert.match(error.message, /incorrect username or password/);
        assert.doesNotMatch(error.message, /secret|\?/);
        return true;
      });
    },
    { token, credential: { username: "user", password: "secret" } },
  );
});

test("a token server may not redirect credentials to another origin", async () => {
  await using thief = await startScriptedServer((_request, response) =>
    answer(response, 200, {}, '{"token":"x"}'),
  );
  await withTokenServer(
    async ({ registry }, client) => {
      await assert.rejects(client.ping(registry.host), { code: "REGISTRY_PROTOCOL" });
      assert.equal(thief.requests.length, 0);
    },
    {
      token: (_request, response) => answer(response, 307, { location: `${thief.url}/token` }),
      credential: { username: "user", password: "secret" },
    },
  );
});

test("Basic credentials are sent only after they were asked for, and asked anew when refused", async () => {
  let password = "old";
  let asked = 0;
  await using registry = await startScriptedServer((request, response) => {
    const expected = `Basic ${Buffer.from(`user:${password}`).toString("base64")}`;
    if (request.headers.authorization === expected) answer(response, 200);
    else answer(response, 401, { "www-authenticate": 'Basic realm="Registry Realm"' });
  });
  const credentials = {
    credentialFor: () => {
      asked += 1;
      return Promise.resolve({ username: "user", password });
    },
  };
  await using client = new RegistryClient({ credentials });
  await client.ping(registry.host);
  await client.ping(registry.host);
  assert.deepEqual([registry.requests.length, asked], [3, 1]);
  password = "new";
  await client.ping(registry.host);
  assert.deepEqual([registry.requests.length, asked], [5, 2]);
});

test("wrong Basic credentials are an error after one try", async () => {
  await using registry = await startScriptedServer((_request, response) => {
    answer(response, 401, { "www-authenticate": "Basic realm=x" });
  });
  const credentials = { credentialFor: () => Promise.resolve({ username: "u", password: "p" }) };
  await using client = new RegistryClient({ credentials });
  await assert.rejects(client.ping(registry.host), { code: "REGISTRY_UNAUTHORIZED" });
  assert.equal(registry.requests.length, 2);
});
