import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isEsgzError } from "../errors/index.ts";
import { credentialKeysFor, normalizeCredentialKey } from "./credential-key.ts";
import {
  encodeDockerConfig,
  helperFor,
  parseDockerConfig,
  storedCredential,
  withCredential,
  withoutCredential,
} from "./docker-config.ts";

// "dXNlcjpwYTpzcw==" is base64 of "user:pa:ss", made by coreutils' base64.
const AUTH = "dXNlcjpwYTpzcw==";

function configOf(value: unknown): ReturnType<typeof parseDockerConfig> {
  return parseDockerConfig(JSON.stringify(value), "config.json");
}

test("normalizeCredentialKey() takes off scheme and API version", () => {
  assert.equal(normalizeCredentialKey("https://index.docker.io/v1/"), "index.docker.io");
  assert.equal(normalizeCredentialKey("http://Host:5000/v2"), "host:5000");
  assert.equal(normalizeCredentialKey("quay.io/team/app"), "quay.io/team/app");
});

test("credentialKeysFor() goes from the repository up to the registry", () => {
  assert.deepEqual(credentialKeysFor("quay.io", "a/b"), ["quay.io/a/b", "quay.io/a", "quay.io"]);
  assert.deepEqual(credentialKeysFor("docker.io"), ["index.docker.io", "docker.io", "registry-1.docker.io"]);
});

test("storedCredential() reads auth with colons in the password, also under URL keys", () => {
  const config = configOf({
    auths: { "https://index.docker.io/v1/": { auth: AUTH }, "https://x.io/v2/": { auth: AUTH } },
  });
  const expected = { username: "user", password: "pa:ss" };
  assert.deepEqual(storedCredential(config, "docker.io", "library/busybox"), expected);
  assert.deepEqual(storedCredential(config, "x.io"), expected);
  assert.equal(storedCredential(config, "y.io"), undefined);
});

test("storedCredential() reads plain fields and tokens", () => {
  const config = configOf({
    auths: {
      "a.io": { username: "u", password: "p" },
      "b.io": { auth: "AA==", identitytoken: "refresh" },
      "c.io": { registrytoken: "bearer" },
      "d.io": {},
    },
  });
  assert.deepEqual(storedCredential(config, "a.io"), { username: "u", password: "p" });
  assert.deepEqual(storedCredential(config, "b.io"), { identityToken: "refresh" });
  assert.deepEqual(storedCredential(config, "c.io"), { registryToken: "bearer" });
  assert.equal(storedCredential(config, "d.io"), undefined);
});

test("storedCredential() prefers the key of the repository to that of the registry", () => {
  const config = configOf({
    auths: { "q.io": { username: "all", password: "1" }, "q.io/team": { username: "team", password: "2" } },
  });
  assert.equal(storedCredential(config, "q.io", "team/app")?.username, "team");
  assert.equal(storedCredential(config, "q.io", "teams/app")?.username, "all");
});

test("helperFor() prefers the registry's helper to the store", () => {
  const config = configOf({
    credsStore: "desktop",
    credHelpers: { "1.dkr.ecr.us-east-1.amazonaws.com": "ecr-login" },
  });
  assert.equal(helperFor(config, "1.dkr.ecr.us-east-1.amazonaws.com"), "ecr-login");
  assert.equal(helperFor(config, "docker.io"), "desktop");
  assert.equal(helperFor(configOf({}), "docker.io"), undefined);
});

test("withCredential() writes Docker's form and keeps what it does not know", () => {
  const config = configOf({
    HttpHeaders: { a: "b" },
    auths: { "https://x.io": { auth: "old" }, "y.io": { z: 1 } },
  });
  const saved = withCredential(config, "x.io", { username: "user", password: "pa:ss" });
  assert.deepEqual(JSON.parse(encodeDockerConfig(saved)), {
    HttpHeaders: { a: "b" },
    auths: { "y.io": { z: 1 }, "x.io": { auth: AUTH } },
  });
  assert.deepEqual(JSON.parse(encodeDockerConfig(withoutCredential(saved, "x.io"))), {
    HttpHeaders: { a: "b" },
    auths: { "y.io": { z: 1 } },
  });
});

test("withCredential() stores Docker Hub under its historic key", () => {
  const saved = withCredential(configOf({}), "docker.io", { username: "user", password: "pa:ss" });
  assert.deepEqual(saved.fields, { auths: { "https://index.docker.io/v1/": { auth: AUTH } } });
});

test("parseDockerConfig() gives a configuration or an error that repeats nothing of the text", () => {
  assert.throws(
    () => parseDockerConfig('{"auths": secret', "f"),
    (error) => {
      return isEsgzError(error, "CREDENTIALS_INVALID") && !error.message.includes("secret");
    },
  );
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), fc.string(), (text, registry) => {
      try {
        const config = parseDockerConfig(text, "f");
        storedCredential(config, registry, "a/b");
        helperFor(config, registry);
      } catch (error) {
        assert.ok(isEsgzError(error, "CREDENTIALS_INVALID"));
      }
    }),
  );
});

test("credentials survive being written and read back", () => {
  const text = fc.string({ minLength: 1 }).filter((value) => !value.includes("\0"));
  fc.assert(
    fc.property(
      text.filter((user) => !user.includes(":")),
      text,
      (username, password) => {
        const saved = withCredential(configOf({}), "x.io", { username, password });
        const read = parseDockerConfig(encodeDockerConfig(saved), "f");
        assert.deepEqual(storedCredential(read, "x.io"), { username, password });
      },
    ),
  );
});
