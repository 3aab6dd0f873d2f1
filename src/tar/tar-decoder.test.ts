import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { encodeBase64 } from "../bytes/index.ts";
import { cleanPath } from "./index.ts";
import { decodeTar, type DecodedEntry } from "./decode-tar.fixture.ts";

const VECTORS = new URL("../../test/vectors/", import.meta.url);
const EVERYTHING = readFileSync(new URL("everything.tar", VECTORS));

interface Expected {
  type: string;
  mode: string;
  uid: number;
  gid: number;
  mtime: number;
  size?: number;
  sha256?: string;
  target?: string;
  dev?: [number, number];
  xattrs?: Record<string, string>;
}

function describe({ entry, content }: DecodedEntry): Expected {
  const xattrs = [...entry.xattrs].map(([name, value]) => [name, encodeBase64(value)]);
  return {
    type: entry.type,
    mode: `0o${entry.mode.toString(8)}`,
    uid: entry.uid,
    gid: entry.gid,
    mtime: entry.mtime.seconds + entry.mtime.nanoseconds / 1e9,
    ...(entry.type === "reg"
      ? { size: entry.size, sha256: createHash("sha256").update(content).digest("hex") }
      : {}),
    ...(entry.linkName === "" ? {} : { target: entry.linkName }),
    ...(entry.type === "char" || entry.type === "block" ? { dev: [entry.devMajor, entry.devMinor] } : {}),
    ...(xattrs.length === 0 ? {} : { xattrs: Object.fromEntries(xattrs) }),
  };
}

void test("TarDecoder reads what Python's tarfile reads", () => {
  const expected: unknown = JSON.parse(readFileSync(new URL("everything.expected.json", VECTORS), "utf8"));
  const decoded = decodeTar(EVERYTHING);
  assert.equal(decoded.entries.length, 337);
  const found = Object.fromEntries(
    decoded.entries.map((item) => [cleanPath(item.entry.name), describe(item)]),
  );
  assert.deepEqual(found, expected);
});
