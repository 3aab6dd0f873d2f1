import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { parseMappings } from "./trim-memory.ts";

const SMAPS = `00400000-01400000 r-xp 00000000 08:01 12 /usr/bin/a b
Size:              16384 kB
Rss:                8192 kB
Private_Dirty:         0 kB
Anonymous:             4 kB
7f0000000000-7f0000001000 rw-p 00000000 00:00 0
Rss:                   4 kB
Anonymous:             4 kB
`;

test("parseMappings() reads places, rights, paths and sizes", () => {
  assert.deepEqual(parseMappings(SMAPS), [
    {
      start: 0x400000n,
      end: 0x1400000n,
      rights: "r-xp",
      path: "/usr/bin/a b",
      resident: 8_388_608,
      changed: 4096,
    },
    { start: 0x7f0000000000n, end: 0x7f0000001000n, rights: "rw-p", path: "", resident: 4096, changed: 4096 },
  ]);
  assert.deepEqual(parseMappings(""), []);
});

test("trimMemory() makes a process smaller, which goes on to work", (t) => {
  const program = `
    const { trimMemory } = await import(${JSON.stringify(new URL("./trim-memory.ts", import.meta.url).href)});
    const before = process.memoryUsage.rss();
    trimMemory();
    const after = process.memoryUsage.rss();
    const { deflateSync, inflateSync } = await import("node:zlib");
    const text = inflateSync(deflateSync("text".repeat(1000))).toString();
    console.log(JSON.stringify({ before, after, length: text.length }));`;
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
  const { before, after, length } = JSON.parse(output) as Record<"before" | "after" | "length", number>;
  assert.equal(length, 4000);
  if (process.platform !== "linux") return t.skip("needs Linux");
  assert.ok(after < before - (5 << 20), `${before} ${after}`);
});
