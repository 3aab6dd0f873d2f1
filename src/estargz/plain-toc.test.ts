import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { encodeUtf8 } from "../bytes/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { parsePlainToc } from "./plain-toc.ts";
import { parseTocEntries } from "./toc-json.ts";

const PADDING = "x".repeat(900);
const DIGEST = `sha256:${"ab".repeat(32)}`;

/** Entries of about 1 KB, so that a list of many has several parts. */
function entries(count: number): object[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `dir/${i}`,
    type: "reg",
    size: i,
    userName: PADDING,
    xattrs: { "user.a": "AA==", "user.b": "" },
    digest: DIGEST,
  }));
}

/** The entries; undefined if a part is not plain. */
function readPlain(json: string | Uint8Array, maxEntries = 10_000): unknown[] | undefined {
  const bytes = typeof json === "string" ? encodeUtf8(json) : json;
  const found: unknown[] = [];
  try {
    for (const part of parsePlainToc(bytes, { maxEntries })) {
      if (part === undefined) return undefined;
      found.push(...part);
    }
    return found;
  } catch (error) {
    if (error instanceof SyntaxError || isEsgzError(error)) return undefined;
    throw error;
  }
}

/** What the careful reader finds; undefined if it refuses the TOC. */
function readCarefully(json: string | Uint8Array, maxEntries = 10_000): unknown[] | undefined {
  const bytes = typeof json === "string" ? encodeUtf8(json) : json;
  try {
    return [...parseTocEntries(bytes, { ...DEFAULT_LIMITS, maxEntries })].flat();
  } catch (error) {
    if (isEsgzError(error)) return undefined;
    throw error;
  }
}

/** JSON as Go's encoder writes it. */
function goJson(value: unknown): string {
  return JSON.stringify(value, undefined, "\t").replaceAll("&", "\\u0026").replaceAll("<", "\\u003c");
}

describe("parsePlainToc()", () => {
  const list = entries(200);
  const withDigest = { version: 1, entries: list, tarSplitDigest: DIGEST };

  test("reads compact and indented JSON, in parts", () => {
    for (const toc of [{ version: 1, entries: list }, { entries: list }, withDigest]) {
      assert.deepEqual(readPlain(JSON.stringify(toc)), list);
      assert.deepEqual(readPlain(JSON.stringify(toc, undefined, "\t")), list);
      assert.deepEqual(readPlain(`${JSON.stringify(toc, undefined, "\t")}\n`), list);
    }
    const parts = [...parsePlainToc(encodeUtf8(JSON.stringify(withDigest)), { maxEntries: 200 })];
    assert.ok(parts.length > 3);
  });

  test("reads small lists and empty ones", () => {
    for (const count of [0, 1, 2]) {
      const toc = { version: 1, entries: entries(count) };
      assert.deepEqual(readPlain(JSON.stringify(toc)), entries(count));
      if (count > 0) assert.deepEqual(readPlain(goJson(toc)), entries(count));
    }
  });

  test("reads parts with escapes, foreign members and names beyond ASCII", () => {
    for (const more of [
      { name: "a & b < c" },
      { name: 'back\\slash "quote"' },
      { name: "grün 漢字 😀 \ufeff \u2028" },
      { NumLink: 0 },
      { accesstime: "0001-01-01T00:00:00Z", unknown: null, other: true },
    ]) {
      const mixed = list.with(77, { name: "a", type: "dir", ...more });
      for (const json of [JSON.stringify({ entries: mixed }), goJson({ version: 1, entries: mixed })]) {
        assert.deepEqual(readPlain(json), mixed);
      }
    }
  });

  const texts = list.map((entry) => JSON.stringify(entry));
  const at = [0, 33, 100, 198, 199];

  test("leaves all that is ambiguous or no JSON to the careful reader", () => {
    for (const wrong of [
      '{"name":"a","name":"b"}',
      '{"name" :"a","name":"b"}',
      '{"NAME":"a"}',
      '{"n\\u0061me":"a"}',
      '{"\\u0041":"a","\\u0041":"b"}',
      '{"unknown\\n":1}',
      '{"a":[{},{}]}',
      '{"a":{"b":{}}}',
      '{"xattrs":[]}',
      "[]",
      "1",
      "null",
      "",
      "{",
      '{"name":"a}',
      "\ufeff{}",
      "{}]",
      '{}],"entries":[{}',
      '{}],"version":[{}',
      '{}],"version":{"a":[{}',
      '{}],"tarSplitDigest":"","x":[{}',
      "{}]}",
      '{}]}{"entries":[{}',
    ]) {
      for (const i of at) {
        const json = `{"version":1,"entries":[${texts.with(i, wrong).join(",")}]}`;
        const found = readPlain(json);
        if (found !== undefined) assert.deepEqual(found, readCarefully(json), `${wrong} at ${i}`);
      }
    }
  });

  test("refuses members of the head behind the list, and bytes behind the end", () => {
    const text = texts.join(",");
    for (const json of [
      `{"version":1,"entries":[${text}],"version":2}`,
      `{"version":1,"entries":[${text}],"entries":[]}`,
      `{"version":1,"entries":[${text}]},`,
      `{"version":1,"entries":[${text}]}{}`,
      `{"version":1,"entries":[${text}]}\u00a0`,
      `{"version":1,"entries":[${text}]`,
      '{"version":1,"entries":[',
      `{"version":1,"entries":[${text}`,
      `{"version":1,"version":1,"entries":[${text}]}`,
      `{"a":{"entries":[${text}]}}`,
      `{"a":"\\"entries":[${text}]}`,
      `[{"entries":[${text}]}]`,
    ]) {
      assert.equal(readPlain(json), undefined, json.slice(0, 40));
    }
  });

  test("leaves it to the careful reader when there may be too much", () => {
    const toc = (value: object): string =>
      JSON.stringify({ entries: Array.from({ length: 100 }, () => value) });
    const attributes = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`user.${i}`, ""]));
    assert.equal(readPlain(toc({}), 99), undefined);
    assert.equal(readPlain(toc({}), 100)?.length, 100);
    assert.equal(readPlain(toc({ xattrs: attributes }), 100), undefined);
    assert.equal(readPlain(toc({ xattrs: attributes }), 200)?.length, 100);
    assert.equal(readPlain(JSON.stringify({ entries: [{ name: "x".repeat(200_000) }] })), undefined);
  });

  test("finds what the careful reader finds, whatever bytes are changed", () => {
    const valid = [
      encodeUtf8(JSON.stringify(withDigest)),
      encodeUtf8(goJson({ version: 1, entries: list.with(80, { name: "a&b", type: "dir" }) })),
    ];
    const snippet = fc.constantFrom(
      "",
      "]",
      "}",
      "},{",
      '"',
      "\\",
      ",",
      ":",
      "[",
      "{",
      '"name":1,',
      "\ufeff",
      " ",
    );
    const change = fc.record({ at: fc.nat(230_000), remove: fc.nat(12), snippet });
    const property = fc.property(
      fc.constantFrom(...valid),
      fc.array(change, { maxLength: 2 }),
      (json, changes) => {
        let bytes = Buffer.from(json);
        for (const { at: where, remove, snippet: text } of changes) {
          const start = where % bytes.length;
          bytes = Buffer.concat([bytes.subarray(0, start), encodeUtf8(text), bytes.subarray(start + remove)]);
        }
        const found = readPlain(bytes);
        if (found !== undefined) assert.deepEqual(found, readCarefully(bytes));
      },
    );
    fc.assert(property, { numRuns: 300 });
  });
});
