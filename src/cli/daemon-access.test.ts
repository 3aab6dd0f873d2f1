import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import { absoluteName, imageRequest } from "./daemon-access.ts";
import { type Environment, processEnvironment } from "./environment.ts";
import { addStoreFlag, storeOf } from "./store-location.ts";

function environment(changes: Partial<Environment>): Environment {
  return { ...processEnvironment(new AbortController().signal), variables: {}, ...changes };
}

test("absoluteName() names places of this machine as any process can open them, and leaves registries alone", () => {
  const here = process.cwd();
  assert.equal(absoluteName("oci:layout:tag"), `oci:${here}/layout:tag`);
  assert.equal(absoluteName("docker-archive:./a.tar:x/y:1"), `docker-archive:${here}/./a.tar:x/y:1`);
  assert.equal(absoluteName("dir:/there"), "dir:/there");
  assert.equal(absoluteName("python:3.13"), "python:3.13");
  assert.equal(absoluteName("oci.example.org/a:1"), "oci.example.org/a:1");
});

test("imageRequest() gives absolute paths, a normal platform, and the credentials that this environment names", () => {
  const variables = { REGISTRY_AUTH_FILE: import.meta.filename };
  assert.deepEqual(imageRequest(environment({ variables }), "a/b", { platform: "linux/x86_64" }), {
    reference: "a/b",
    platform: "linux/amd64",
    registry: { authfile: import.meta.filename },
  });
  assert.deepEqual(
    imageRequest(environment({}), "a/b", {
      certDir: "/c",
      tlsVerify: false,
      plainHttp: ["h"],
      tls: ["localhost:5000"],
    }),
    {
      reference: "a/b",
      registry: { certDir: "/c", tlsVerify: false, plainHttp: ["h"], tls: ["localhost:5000"] },
    },
  );
  assert.deepEqual(imageRequest(environment({}), "a/b", {}), { reference: "a/b" });
  assert.deepEqual(imageRequest(environment({}), "a/b", { pull: "missing" }), {
    reference: "a/b",
    resolve: "missing",
  });
  assert.throws(() => imageRequest(environment({}), "", {}), { code: "USAGE_INVALID" });
  assert.throws(() => imageRequest(environment({}), "a/b", { authfile: "/no/such/file" }), {
    code: "CONFIGURATION_INVALID",
  });
});

async function storeFor(argv: readonly string[], changes: Partial<Environment>): Promise<string> {
  let store = "";
  const program = addStoreFlag(new Command()).enablePositionalOptions();
  addStoreFlag(program.command("go")).action(async (_flags: unknown, command: Command) => {
    store = await storeOf(environment(changes), command);
  });
  await program.parseAsync(argv, { from: "user" });
  return store;
}

test("storeOf() takes the flag before or after the command, else ESGZ_STORE, else the user's own", async () => {
  const user = { uid: 1000, home: "/home/u" };
  const variables = { ESGZ_STORE: "/from/variable", XDG_DATA_HOME: "/data" };
  assert.equal(await storeFor(["--store", "/a", "go"], { ...user, variables }), "/a");
  assert.equal(await storeFor(["go", "--store", "/b/../b"], { ...user, variables }), "/b");
  assert.equal(await storeFor(["go"], { ...user, variables }), "/from/variable");
  assert.equal(await storeFor(["go"], { ...user, variables: { XDG_DATA_HOME: "/data" } }), "/data/esgz");
  assert.equal(await storeFor(["go"], user), "/home/u/.local/share/esgz");
  assert.equal(await storeFor(["go"], { uid: 0 }), "/var/lib/esgz");
  assert.equal(
    await storeFor(["go"], { ...user, variables: { ESGZ_STORE: "" } }),
    "/home/u/.local/share/esgz",
  );
  await assert.rejects(storeFor(["go", "--store", ""], user), { code: "USAGE_INVALID" });
});
