import assert from "node:assert/strict";
import { test } from "node:test";
import type { Negotiated } from "../fuse/index.ts";
import { NewestKeeper } from "./newest-keeper.ts";

function setUp(): { readonly keeper: NewestKeeper; readonly said: string[] } {
  const said: string[] = [];
  const keeper = new NewestKeeper({
    adopt: async ({ id, fd }) => void said.push(`adopt ${id} ${fd}`),
    disown: async (id, fd) => void said.push(`disown ${id} ${fd}`),
  });
  return { keeper, said };
}

function fuse(id: string, fd: number): Parameters<NewestKeeper["adopt"]>[0] {
  return { id, fd, target: "/mnt", pid: 1, negotiated: {} as Negotiated };
}

test("a connection that ends is disowned, one of an earlier process too", async () => {
  const { keeper, said } = setUp();
  await keeper.adopt(fuse("a", 10));
  await keeper.disown("a", 10);
  await keeper.disown("b", 5);
  assert.deepEqual(said, ["adopt a 10", "disown a 10", "disown b 5"]);
});

test("a connection that ends after there is a newer one of its id leaves that one kept", async () => {
  const { keeper, said } = setUp();
  await keeper.adopt(fuse("a", 10));
  const adopting = keeper.adopt(fuse("a", 11));
  await keeper.disown("a", 10);
  await adopting;
  assert.deepEqual(said, ["adopt a 10", "adopt a 11"]);
  await keeper.disown("a", 11);
  assert.deepEqual(said.slice(2), ["disown a 11"]);
});
