import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { announce, announcementOf, SWITCHES, VALUED } from "./announce.ts";
import { processEnvironment } from "./environment.ts";
import { createProgram } from "./program.ts";

const IMAGE = "registry.example/app:1";
/** They say which image it is, or how it is reached. */
const DECISIVE = [
  "--platform",
  "--authfile",
  "--plain-http",
  "--tls",
  "--tls-verify",
  "--cert-dir",
  "--mirror",
];
const owner = { uid: 1000, home: "/nowhere", variables: { ESGZ_STORE: "/store" } };

test("every option of `run` is known for what it is, and no other is", async () => {
  const program = await createProgram(processEnvironment(new AbortController().signal), ["run"]);
  const options = program.commands.find((command) => command.name() === "run")?.options ?? [];
  const known = new Set<string>();
  for (const { short, long, required, optional } of options) {
    const names = [short, long].filter((name) => name !== undefined);
    for (const name of names) known.add(name);
    if (names.some((name) => DECISIVE.includes(name.replace("--no-", "--")))) continue;
    const wanted = required || optional ? VALUED : SWITCHES;
    for (const name of names) assert.ok(wanted.has(name), `${name} is not listed`);
  }
  for (const name of [...SWITCHES, ...VALUED]) assert.ok(known.has(name), `${name} is no option`);
});

test("announcementOf() finds the image behind options of all kinds", () => {
  for (const line of [
    IMAGE,
    `--rm -it ${IMAGE} sh -c`,
    `-q --json --name box -e A=1 --env B=${IMAGE}x -v .:/work ${IMAGE}`,
    `--name=box --network=none --no-prefetch ${IMAGE} --platform linux/arm64`,
    `-e -- --env --rm -- ${IMAGE} other`,
  ]) {
    const found = announcementOf(line.split(" "), owner);
    assert.deepEqual(found, { store: "/store", reference: IMAGE }, line);
  }
});

test("announcementOf() tells when the registry is to be asked", () => {
  for (const [line, resolve] of [
    [`--pull missing ${IMAGE}`, "missing"],
    [`--pull=missing --rm ${IMAGE}`, "missing"],
    [`--pull missing --pull always ${IMAGE} --pull missing`, "always"],
  ] as const) {
    const found = announcementOf(line.split(" "), owner);
    assert.deepEqual(found, { store: "/store", reference: IMAGE, resolve }, line);
  }
});

test("announcementOf() says nothing of lines that it cannot judge", () => {
  for (const line of [
    "",
    "--rm",
    "--",
    "--name",
    "-",
    "oci:./layout:1",
    `--platform linux/arm64 ${IMAGE}`,
    `--pull never ${IMAGE}`,
    `--pull`,
    `--authfile /auth.json ${IMAGE}`,
    `--mirror a=b ${IMAGE}`,
    `--unknown ${IMAGE}`,
    `-itw /work ${IMAGE}`,
    `-x ${IMAGE}`,
  ])
    assert.equal(announcementOf(line.split(" ").filter(Boolean), owner), undefined, line);
  for (const name of ["REGISTRY_AUTH_FILE", "DOCKER_CONFIG"]) {
    const variables = { ...owner.variables, [name]: "/somewhere" };
    assert.equal(announcementOf([IMAGE], { ...owner, variables }), undefined, name);
  }
});

test("announcementOf() takes the store as commands do, unless a configuration may name it", (t) => {
  const home = mkdtempSync(join(tmpdir(), "esgz-announce-"));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  const storeOf = (words: readonly string[], variables = {}): string | undefined =>
    announcementOf([...words, IMAGE], { uid: 1000, home, variables })?.store;
  assert.equal(storeOf(["--store", "/a"], { ESGZ_STORE: "/b" }), "/a");
  assert.equal(storeOf(["--store=/a"]), "/a");
  assert.equal(storeOf([], { ESGZ_STORE: "/b" }), "/b");
  const usual = join(home, ".local/share/esgz");
  assert.equal(storeOf([]), usual);
  mkdirSync(join(home, ".config/esgz"), { recursive: true });
  const config = join(home, ".config/esgz/config.toml");
  writeFileSync(config, '[log]\nlevel = "debug"\n');
  assert.equal(storeOf([]), usual);
  writeFileSync(config, 'store = "/other"\n');
  assert.equal(storeOf([]), undefined);
  assert.equal(storeOf(["--store", "/a"]), "/a");
});

test("announce() never fails, also where there is no working directory, or the name is long", async (t) => {
  const gone = mkdtempSync(join(tmpdir(), "esgz-announce-"));
  const before = process.cwd();
  process.chdir(gone);
  t.after(() => process.chdir(before));
  rmSync(gone, { recursive: true });
  await announce(["--store", "relative", IMAGE]);
  await announce(["--store", "/nowhere", "a".repeat(100_000)]);
});

test("announce() tells the daemon of the store, and does not mind when there is none", async (t) => {
  const store = mkdtempSync(join(tmpdir(), "esgz-announce-"));
  t.after(() => rmSync(store, { recursive: true, force: true }));
  const words = ["--store", store, IMAGE];
  await announce(words);

  const asked = Promise.withResolvers<readonly [string, unknown]>();
  const server = createServer((request, response) => {
    void request.toArray().then((body) => {
      asked.resolve([
        `${request.method} ${request.url}`,
        JSON.parse(Buffer.concat(body as Buffer[]).toString()),
      ]);
      response.end("{}");
    });
  });
  server.listen(join(store, "control.sock"));
  await once(server, "listening");
  t.after(() => server.close());
  await announce(words);
  assert.deepEqual(await asked.promise, [
    "POST /v1/announcements",
    { reference: IMAGE, ownerPid: process.pid },
  ]);
});
