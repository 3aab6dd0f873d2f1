import assert from "node:assert/strict";
import { test } from "node:test";
import { EsgzError } from "../errors/index.ts";
import { RemoteImages, type RemoteImagesOptions } from "./remote-images.ts";

test("RemoteImages keeps an image that somebody waits for, however long that takes", async (t) => {
  const client = Promise.withResolvers<never>();
  const clients = { accessOf: () => ({}), clientFor: () => client.promise };
  const preparation = { warm: () => undefined };
  const options = { clients, preparation, onResolved: () => undefined };
  const images = new RemoteImages(options as unknown as RemoteImagesOptions);
  t.after(() => images[Symbol.asyncDispose]());
  const request = { reference: "registry.example/app:1", digest: `sha256:${"a".repeat(64)}` } as const;
  const layer = images.layer({ ...request, skipVerify: false });
  const others = images.forgetIdle(0);
  client.reject(new EsgzError("NETWORK_FAILED", "Cannot connect: expected a registry, got none"));
  await assert.rejects(layer, { code: "NETWORK_FAILED" });
  assert.equal(await others, 1);
  assert.equal(await images.forgetIdle(0), 0);
});
