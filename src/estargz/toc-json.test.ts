import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { encodeUtf8 } from "../bytes/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { parseTocEntries } from "./toc-json.ts";

const PADDING = "x".repeat(1000);

function parse(json: string, maxEntries = 10_000): unknown[] {
  return [...parseTocEntries(encodeUtf8(json), { ...DEFAULT_LIMITS, maxEntries })].flat();
}

function assertInvalid(json: string, message: RegExp = /Cannot read TOC: /): void {
  assert.throws(() => parse(json), { code: "TOC_INVALID", message });
}

/** Entries of about 1 KB, so that a list of many is parsed in several parts. */
function entries(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `{"name":"${i}","userName":"${PADDING}"}`);
}

describe("parseTocEntries()", () => {
  test("gives what JSON.parse gives, in several parts", () => {
    const list = entries(300);
    const found = parse(`{"version":1,"entries":[${list.join(" ,\n")}],"more":{"entries":[1]}}`);
    assert.deepEqual(
      found,
      Array.from({ length: 300 }, (_, i) => ({ name: String(i), userName: PADDING })),
    );
  });

  test("keeps to the list of the TOC object, wherever it is", () => {
    const inner = `{"name":"entries","xattrs":{"entries":"[1,2]"},"unknown":{"entries":[3,[4]]}}`;
    const expected = [JSON.parse(inner)];
    assert.deepEqual(parse(`{"entries":[${inner}],"tarSplitDigest":""}`), expected);
    assert.deepEqual(parse(`{"a":{"entries":[7]},"b":[[8]],"entries" : [${inner}]}`), expected);
    assert.deepEqual(parse(`{"a":"entries","b":[9],"version":1}`), []);
    assertInvalid(`[{"entries":[1]}]`);
  });

  test("takes no list, null and an empty list for no entries", () => {
    for (const json of ["{}", '{"entries":null}', '{"entries":[]}', '{"entries":[ \n]}']) {
      assert.deepEqual(parse(json), []);
    }
    for (const json of ['{"entries":{}}', '{"entries":"a"}', '{"entries":1}']) {
      assertInvalid(json, /expected entries to be a list/);
    }
    for (const json of ["null", "1", '"entries"']) assertInvalid(json, /expected an object/);
  });

  test("refuses what is no JSON, in the frame and in every part", () => {
    const list = entries(100);
    const at = [0, 1, 35, 50, 98, 99];
    for (const i of at) {
      for (const wrong of [
        "",
        "{",
        "]",
        "}",
        '"',
        "1],[2",
        "{},",
        ",{}",
        "\ufeff{}",
        '{"a":1 "b":2}',
        "{]}",
      ]) {
        assertInvalid(`{"entries":[${list.with(i, wrong).join(",")}]}`);
      }
    }
    const whole = `{"version":1,"entries":[${list.join(",")}],"x":[]}`;
    for (const end of [1, 12, 23, 24, 40_000, whole.length - 8, whole.length - 1]) {
      assertInvalid(whole.slice(0, end));
    }
    assertInvalid(`${whole},`);
    assertInvalid(`${whole}{}`);
    assertInvalid(whole.replace('],"x"', '}},"x"'));
    assertInvalid(whole.replace('],"x"', ']\ufeff,"x"'));
  });

  test("ignores a byte order mark in front of all, as JSON readers may", () => {
    assert.deepEqual(parse('\ufeff{"entries":[1]}'), [1]);
  });

  test("counts entries over all parts", () => {
    const json = `{"entries":[${entries(100).join(",")}]}`;
    assert.equal(parse(json, 100).length, 100);
    assert.throws(() => parse(json, 99), { code: "LIMIT_EXCEEDED" });
  });

  test("accepts of any text what JSON.parse accepts, with the same entries", () => {
    const long = `"${"y".repeat(33_000)}"`;
    const brackets = ['{"entries":[', "]}", "[", "]", "{", "}"] as const;
    const token = fc.constantFrom(
      ...brackets,
      ",",
      ":",
      '"',
      '"entries"',
      '"a":',
      "1",
      "null",
      "\\",
      " ",
      long,
    );
    const property = fc.property(fc.array(token, { maxLength: 14 }), fc.boolean(), (tokens, framed) => {
      const text = framed ? `{"entries":[${tokens.join("")}]}` : tokens.join("");
      const expected = entriesOf(text);
      try {
        assert.deepEqual(parse(text), expected);
      } catch (error) {
        // Two members with one name are refused, though JSON.parse takes the last.
        if (!isEsgzError(error, "TOC_INVALID")) throw error;
        assert.ok(expected === undefined || /expected one member|without escapes/.test(error.message), text);
      }
    });
    fc.assert(property, { numRuns: 3000 });
  });
});

/** The entries, as the whole text is parsed at once; undefined if it is no TOC. */
function entriesOf(text: string): unknown[] | undefined {
  try {
    const toc: unknown = JSON.parse(text);
    if (typeof toc !== "object" || toc === null) return undefined;
    const found: unknown = "entries" in toc ? toc.entries : [];
    return found === null ? [] : Array.isArray(found) ? found : undefined;
  } catch {
    return undefined;
  }
}
