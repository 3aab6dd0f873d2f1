// Passwords and tokens, as clients meet them.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "../../src/async/index.ts";
import type { RegistryServerOptions } from "../../src/registry-server/index.ts";
import { assertProblem, digestOf, startTestRegistry, type TestRegistry } from "./registry-fixture.ts";

// Made by Apache's `htpasswd -nbB`.
const HTPASSWD = "alice:$2y$05$Ujrvb.kWiVRN1E6B3GN4jO6I2vVNp6pBrppc1I.f3zlKK8BWPg876\n";
const ALICE = `Basic ${Buffer.from("alice:sesam öffne dich").toString("base64")}`;
const MALLORY = `Basic ${Buffer.from("alice:sesame").toString("base64")}`;
const DIGEST = digestOf("hello");

interface TokenAnswer {
  readonly token: string;
  readonly access_token: string;
  readonly expires_in: number;
  readonly refresh_token?: string;
}

function start(options: RegistryServerOptions): Promise<TestRegistry> {
  return startTestRegistry("memory", { htpasswd: HTPASSWD, ...options });
}

function push(url: string, authorization: string | undefined): Promise<Response> {
  const headers = authorization === undefined ? {} : { authorization };
  return fetch(`${url}/v2/app/blobs/uploads/?digest=${DIGEST}`, { method: "POST", body: "hello", headers });
}

function pull(url: string, authorization: string | undefined): Promise<Response> {
  const headers = authorization === undefined ? {} : { authorization };
  return fetch(`${url}/v2/app/blobs/${DIGEST}`, { headers });
}

async function tokenFor(url: string, scope: string, authorization?: string): Promise<TokenAnswer> {
  const headers = authorization === undefined ? {} : { authorization };
  const response = await fetch(`${url}/token?service=esgz-registry&scope=${scope}`, { headers });
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as TokenAnswer;
}

void describe("passwords", () => {
  test("let users do everything and others nothing", async () => {
    await using registry = await start({});
    for (const authorization of [undefined, MALLORY, "Basic !", "Bearer x"]) {
      const refused = await push(registry.url, authorization);
      assert.equal(refused.headers.get("www-authenticate"), 'Basic realm="registry", charset="UTF-8"');
      await assertProblem(refused, 401, "UNAUTHORIZED");
      await assertProblem(await pull(registry.url, authorization), 401, "UNAUTHORIZED");
      const base = await fetch(
        `${registry.url}/v2/`,
        authorization === undefined ? {} : { headers: { authorization } },
      );
      assert.equal(base.status, 401);
    }
    assert.equal((await push(registry.url, ALICE)).status, 201);
    assert.equal(await (await pull(registry.url, ALICE)).text(), "hello");
    assert.equal((await fetch(`${registry.url}/v2/`, { headers: { authorization: ALICE } })).status, 200);
    assert.equal((await fetch(`${registry.url}/v2/_catalog`)).status, 401);
  });

  test("let everybody pull where that is wanted, and still challenge at the base", async () => {
    await using registry = await start({ anonymousPull: true });
    await push(registry.url, ALICE);
    assert.equal((await pull(registry.url, undefined)).status, 200);
    assert.equal((await push(registry.url, undefined)).status, 401);
    assert.equal((await fetch(`${registry.url}/v2/`)).status, 401);
    const blob = `${registry.url}/v2/app/blobs/${DIGEST}`;
    assert.equal((await fetch(blob, { method: "DELETE" })).status, 401);
  });
});

void describe("tokens", () => {
  test("are asked for with the scope that the request needs", async () => {
    await using registry = await start({ token: {} });
    const refused = await push(registry.url, undefined);
    assert.equal(
      refused.headers.get("www-authenticate"),
      `Bearer realm="${registry.url}/token",service="esgz-registry",scope="repository:app:pull,push"`,
    );
    await assertProblem(refused, 401, "UNAUTHORIZED");
    const base = await fetch(`${registry.url}/v2/`);
    assert.equal(
      base.headers.get("www-authenticate"),
      `Bearer realm="${registry.url}/token",service="esgz-registry"`,
    );
  });

  test("are good for what they were asked for", async () => {
    await using registry = await start({ token: {} });
    const { token, expires_in } = await tokenFor(registry.url, "repository:app:pull,push", ALICE);
    assert.equal(expires_in, 300);
    assert.equal((await push(registry.url, `Bearer ${token}`)).status, 201);
    assert.equal((await pull(registry.url, `Bearer ${token}`)).status, 200);
    const pullOnly = await tokenFor(registry.url, "repository:app:pull", ALICE);
    const refused = await push(registry.url, `Bearer ${pullOnly.token}`);
    assert.match(refused.headers.get("www-authenticate") ?? "", /error="insufficient_scope"$/);
    await assertProblem(refused, 401, "UNAUTHORIZED");
    const forged = await pull(registry.url, `Bearer ${token}x`);
    assert.match(forged.headers.get("www-authenticate") ?? "", /error="invalid_token"$/);
    // A password is no token.
    assert.equal((await pull(registry.url, ALICE)).status, 401);
  });

  test("are issued to users only, or to everybody for pulling", async () => {
    await using closed = await start({ token: {} });
    for (const authorization of [undefined, MALLORY]) {
      const headers = authorization === undefined ? {} : { authorization };
      const refused = await fetch(`${closed.url}/token?scope=repository:app:pull`, { headers });
      await assertProblem(refused, 401, "UNAUTHORIZED");
    }
    await using open = await start({ token: {}, anonymousPull: true });
    const user = await tokenFor(open.url, "repository:app:pull,push", ALICE);
    await push(open.url, `Bearer ${user.token}`);
    const anonymous = await tokenFor(open.url, "repository:app:pull,push");
    assert.equal((await pull(open.url, `Bearer ${anonymous.token}`)).status, 200);
    assert.equal((await push(open.url, `Bearer ${anonymous.token}`)).status, 401);
  });

  test("end", async () => {
    let wall = 1_700_000_000_000;
    const clock = { ...systemClock, wallMs: () => wall };
    await using registry = await start({ token: { expirySeconds: 60 }, clock });
    const { token } = await tokenFor(registry.url, "repository:app:pull", ALICE);
    assert.equal((await pull(registry.url, `Bearer ${token}`)).status, 404);
    wall += 60_000;
    assert.equal((await pull(registry.url, `Bearer ${token}`)).status, 401);
  });

  test("can be had with the OAuth2 form, and refreshed", async () => {
    await using registry = await start({ token: {} });
    const ask = (form: Record<string, string>): Promise<Response> =>
      fetch(`${registry.url}/token`, { method: "POST", body: new URLSearchParams(form) });
    const scope = "repository:app:pull,push";
    const password = { grant_type: "password", username: "alice", password: "sesam öffne dich", scope };
    const first = (await (await ask({ ...password, access_type: "offline" })).json()) as TokenAnswer;
    assert.equal((await push(registry.url, `Bearer ${first.access_token}`)).status, 201);
    const refresh = { grant_type: "refresh_token", refresh_token: first.refresh_token ?? "", scope };
    const second = (await (await ask(refresh)).json()) as TokenAnswer;
    assert.equal((await pull(registry.url, `Bearer ${second.access_token}`)).status, 200);
    assert.equal((await pull(registry.url, `Bearer ${first.refresh_token}`)).status, 401);
    await assertProblem(await ask({ ...password, password: "wrong" }), 401, "UNAUTHORIZED");
    await assertProblem(await ask({ ...refresh, refresh_token: first.access_token }), 401, "UNAUTHORIZED");
    await assertProblem(await ask({ grant_type: "other" }), 400, "UNSUPPORTED");
  });

  test("for one repository do not mount from another", async () => {
    await using registry = await start({ token: {} });
    const app = await tokenFor(registry.url, "repository:app:pull,push", ALICE);
    await push(registry.url, `Bearer ${app.token}`);
    const mount = async (scope: string): Promise<number> => {
      const { token } = await tokenFor(registry.url, scope, ALICE);
      const url = `${registry.url}/v2/other/blobs/uploads/?mount=${DIGEST}&from=app`;
      return (await fetch(url, { method: "POST", headers: { authorization: `Bearer ${token}` } })).status;
    };
    assert.equal(await mount("repository:other:pull,push"), 202);
    assert.equal(await mount("repository:other:pull,push repository:app:pull"), 201);
  });
});

test("startRegistryServer() refuses access options that make no sense", async () => {
  const refused: readonly RegistryServerOptions[] = [
    { htpasswd: "alice:plain" },
    { anonymousPull: true },
    { token: { secret: new Uint8Array(8) } },
  ];
  for (const options of refused) {
    await assert.rejects(startTestRegistry("memory", options), { code: "CONFIGURATION_INVALID" });
  }
});
