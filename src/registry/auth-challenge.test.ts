import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseAuthChallenges } from "./auth-challenge.ts";

function plain(values: readonly string[]): unknown {
  return parseAuthChallenges(values).map(({ scheme, params }) => [scheme, Object.fromEntries(params)]);
}

test("parseAuthChallenges() reads Docker Hub's challenge with commas inside quotes", () => {
  const header =
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/busybox:pull,push"';
  assert.deepEqual(plain([header]), [
    [
      "bearer",
      {
        realm: "https://auth.docker.io/token",
        service: "registry.docker.io",
        scope: "repository:library/busybox:pull,push",
      },
    ],
  ]);
});

test("parseAuthChallenges() reads several challenges in one header and in several", () => {
  const joined = 'Basic realm="a b", BEARER Realm=https://x/t , error="insufficient_scope", Negotiate';
  assert.deepEqual(plain([joined, 'Basic realm="second"']), [
    ["basic", { realm: "a b" }],
    ["bearer", { realm: "https://x/t", error: "insufficient_scope" }],
    ["negotiate", {}],
    ["basic", { realm: "second" }],
  ]);
});

test("parseAuthChallenges() undoes quoting, keeps the first of double parameters, skips token68", () => {
  assert.deepEqual(
    plain(['Bearer realm="a\\"b\\\\c", realm="later"', "Negotiate abc/def==, Basic realm=r"]),
    [
      ["bearer", { realm: 'a"b\\c' }],
      ["negotiate", {}],
      ["basic", { realm: "r" }],
    ],
  );
});

test("parseAuthChallenges() gives nothing for headers that are too long", () => {
  assert.deepEqual(parseAuthChallenges([`Bearer realm="${"x".repeat(20_000)}"`]), []);
});

test("parseAuthChallenges() takes any text without throwing, with a bounded result", () => {
  const noise = fc.string({ unit: fc.constantFrom(...'aB= ,"\\;:/\t~é'.split("")) });
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string(), noise), { maxLength: 4 }), (values) => {
      const challenges = parseAuthChallenges(values);
      assert.ok(challenges.length <= values.length * 17);
      for (const { scheme } of challenges) assert.equal(scheme, scheme.toLowerCase());
    }),
  );
});

test("parseAuthChallenges() finds every parameter that was quoted by the rules", () => {
  const value = fc.string({ unit: fc.constantFrom(...'ab,=" \\:/?é'.split("")) });
  fc.assert(
    fc.property(value, value, (realm, scope) => {
      const quote = (text: string): string => `"${text.replace(/["\\]/g, "\\$&")}"`;
      const [challenge] = parseAuthChallenges([`Bearer realm=${quote(realm)},scope=${quote(scope)}`]);
      assert.equal(challenge?.params.get("realm"), realm);
      assert.equal(challenge?.params.get("scope"), scope);
    }),
  );
});
