import assert from "node:assert/strict";
import { test } from "node:test";
import { answer, startScriptedServer } from "../../test/registry/scripted-server.ts";
import { RegistryClient } from "../registry/index.ts";
import { NamedImages } from "./named-images.ts";
import type { RegistryClients } from "./registry-clients.ts";

test("NamedImages asks again for those who are left when the first who asked has gone", async () => {
  const asked = Promise.withResolvers<void>();
  await using server = await startScriptedServer((_request, response) => {
    if (server.requests.length > 1) answer(response, 404);
    else asked.resolve();
  });
  await using client = new RegistryClient({ hosts: () => ({ plainHttp: true }) });
  const clients = { accessOf: () => ({}), clientFor: () => Promise.resolve(client) };
  const images = new NamedImages(clients as unknown as RegistryClients);
  const name = `${server.host}/team/app:1`;
  const leaving = new AbortController();
  const first = images.open(name, { signal: leaving.signal });
  const second = images.open(name, {});
  await asked.promise;
  leaving.abort(new Error("left"));
  await assert.rejects(first, /left/);
  await assert.rejects(second, { code: "REGISTRY_NOT_FOUND" });
});
