import assert from "node:assert/strict";
import { test } from "node:test";
import { saySilence } from "./say-silence.ts";

test("saySilence() tells of a silence, less often the longer it lasts, and of the next one", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const texts: string[] = [];
  let bytes = 0;
  const silence = saySilence({
    registry: "example.io",
    received: () => bytes,
    emit: (event) => texts.push(event.kind === "note" ? event.text : event.kind),
  });
  bytes = 10;
  t.mock.timers.tick(5000);
  assert.deepEqual(texts, []);
  t.mock.timers.tick(45_000);
  const said = [5, 10, 20, 40].map((seconds) => `example.io has sent nothing for ${seconds} s; trying on`);
  assert.deepEqual(texts, said);
  bytes = 20;
  t.mock.timers.tick(10_000);
  assert.deepEqual(texts, [...said, said[0]]);
  silence[Symbol.dispose]();
  t.mock.timers.tick(60_000);
  assert.equal(texts.length, 5);
});
