import assert from "node:assert/strict";
import { test } from "node:test";
import { DisposableList } from "./disposable-list.ts";

function resource(name: string, ended: string[], fails = false): AsyncDisposable {
  return {
    [Symbol.asyncDispose]: async () => {
      await Promise.resolve();
      ended.push(name);
      if (fails) throw new Error(name);
    },
  };
}

test("resources end with their list, the last first, each once, whatever fails", async () => {
  const ended: string[] = [];
  const list = new DisposableList();
  const first = resource("first", ended, true);
  assert.equal(list.use(first), first);
  list.use({ [Symbol.dispose]: () => ended.push("second") });
  list.use(resource("third", ended, true));
  await assert.rejects(list[Symbol.asyncDispose](), { message: "third" });
  assert.deepEqual(ended, ["third", "second", "first"]);
  await list[Symbol.asyncDispose]();
  assert.equal(ended.length, 3);
});

test("what was moved is the other list's", async () => {
  const ended: string[] = [];
  const open = async (): Promise<DisposableList> => {
    await using list = new DisposableList();
    list.use(resource("kept", ended));
    return list.move();
  };
  const owned = await open();
  assert.deepEqual(ended, []);
  await owned[Symbol.asyncDispose]();
  assert.deepEqual(ended, ["kept"]);
});
