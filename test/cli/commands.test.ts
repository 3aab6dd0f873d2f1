/**
 * The commands as a user runs them: a registry, an image of one's own, converted, looked into, verified, pulled.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { CommandLine } from "./command-line.fixture.ts";
import { hasTerminal, runAtTerminal } from "./terminal.fixture.ts";

const VECTORS = resolve(import.meta.dirname, "../vectors");
const ARCHITECTURE = process.arch === "x64" ? "amd64" : process.arch;
const shell = new CommandLine();
let registry = "";
after(() => shell[Symbol.asyncDispose]());

before(async () => {
  writeLayout("image", readFileSync(join(VECTORS, "everything.tar")));
  const { line } = await shell.start(["registry", "--root", "store", "--listen", "127.0.0.1:0"]);
  registry = /127\.0\.0\.1:\d+/.exec(line)?.[0] ?? "";
  const converted = await shell.run([
    "convert",
    "oci:image:plain",
    `${registry}/test/everything:esgz`,
    "--chunk-size",
    "64KiB",
  ]);
  assert.equal(converted.status, 0, converted.stderr);
});

/** An OCI layout with one uncompressed layer, written by hand. */
function writeLayout(name: string, tar: Uint8Array): void {
  const root = join(shell.directory, name);
  mkdirSync(join(root, "blobs/sha256"), { recursive: true });
  const put = (bytes: Uint8Array | string): { digest: string; size: number } => {
    const hex = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(root, "blobs/sha256", hex), bytes);
    return { digest: `sha256:${hex}`, size: Buffer.byteLength(bytes) };
  };
  const layer = put(tar);
  const config = put(
    JSON.stringify({
      architecture: ARCHITECTURE,
      os: "linux",
      rootfs: { type: "layers", diff_ids: [layer.digest] },
    }),
  );
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = put(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      config: { mediaType: "application/vnd.oci.image.config.v1+json", ...config },
      layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", ...layer }],
    }),
  );
  const annotations = { "org.opencontainers.image.ref.name": "plain" };
  writeFileSync(
    join(root, "index.json"),
    JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType, ...manifest, annotations }] }),
  );
  writeFileSync(join(root, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
}

const image = (): string => `${registry}/test/everything:esgz`;

test("esgz inspect tells the layers' format and that they are lazy", async () => {
  const { status, stdout } = await shell.run(["inspect", image(), "--json"]);
  assert.equal(status, 0);
  const { layers } = JSON.parse(stdout) as { layers: { format: string; lazy: boolean; verified: boolean }[] };
  assert.deepEqual(
    layers.map(({ format, lazy, verified }) => ({ format, lazy, verified })),
    [{ format: "estargz", lazy: true, verified: true }],
  );
});

test("esgz ls lists a directory, esgz ls -l as ls does", async () => {
  const { stdout } = await shell.run(["ls", image(), "/etc"]);
  assert.match(stdout, /^\/etc\/passwd$/m);
  const long = await shell.run(["ls", "-l", image(), "/etc/passwd"]);
  assert.match(long.stdout, /^-rw-r--r-- {2}1 .* \/etc\/passwd$/m);
});

test("esgz cat prints a file's bytes and nothing else", async () => {
  const { status, stdout } = await shell.run(["cat", image(), "/etc/passwd"]);
  assert.equal(status, 0);
  const expected = JSON.parse(readFileSync(join(VECTORS, "everything.expected.json"), "utf8")) as Record<
    string,
    { sha256?: string }
  >;
  assert.equal(createHash("sha256").update(stdout).digest("hex"), expected["etc/passwd"]?.sha256);
});

test("esgz verify proves a good image and names what is wrong with a damaged one", async () => {
  const good = await shell.run(["verify", image()]);
  assert.equal(good.status, 0, good.stderr);
  assert.match(good.stdout, /passed +toc-equals-tar/);
  const copy = await shell.run(["pull", image(), "--to", "oci:damaged:x"]);
  assert.equal(copy.status, 0, copy.stderr);
  damageLargestBlob(join(shell.directory, "damaged/blobs/sha256"));
  const bad = await shell.run(["verify", "oci:damaged:x"]);
  assert.equal(bad.status, 5);
  assert.match(bad.stdout, /failed +blob-digest/);
  assert.match(bad.stderr, /VERIFICATION_FAILED/);
});

function damageLargestBlob(directory: string): void {
  const [largest = ""] = [...listFiles(directory)].toSorted((a, b) => lstatSync(b).size - lstatSync(a).size);
  const bytes = readFileSync(largest);
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] ?? 0) ^ 0x40;
  writeFileSync(largest, bytes);
}

function* listFiles(directory: string): Generator<string> {
  for (const line of readFileSync(join(directory, "../../index.json"), "utf8").matchAll(
    /"sha256:([0-9a-f]{64})"/g,
  )) {
    const manifest = join(directory, line[1] ?? "");
    for (const found of readFileSync(manifest, "utf8").matchAll(/sha256:([0-9a-f]{64})/g)) {
      const path = join(directory, found[1] ?? "");
      if (existsSync(path)) yield path;
    }
  }
}

test("esgz pull writes a root filesystem and says what it did", async () => {
  const { status, stdout, stderr } = await shell.run(["pull", image(), "--to", "rootfs:root"]);
  assert.equal(status, 0, stderr);
  assert.match(stderr, /^index loaded in \d+\.\d\ds \(1 layer, 1 seekable, /m);
  assert.match(stdout, /^pulled to rootfs:root in /m);
  assert.equal(readFileSync(join(shell.directory, "root/etc/passwd")).length > 0, true);
});

test("esgz pull refuses a directory with something else in it", async () => {
  mkdirSync(join(shell.directory, "full"));
  writeFileSync(join(shell.directory, "full/precious"), "x");
  const { status, stderr } = await shell.run(["pull", image(), "--to", "rootfs:full"]);
  assert.equal(status, 2);
  assert.match(stderr, /ALREADY_EXISTS/);
});

const FAILURES: readonly (readonly [string, readonly string[], number])[] = [
  ["an image that is not there", ["inspect", "REGISTRY/test/nothing:here"], 3],
  ["a name that is none", ["inspect", "Not/A/Name"], 2],
  ["a listing of passwords that is not there", ["registry", "--htpasswd", "nothing"], 2],
  ["tokens without users", ["registry", "--token-auth"], 2],
  ["a collection without a directory", ["registry", "--collect-garbage"], 2],
  [
    "a certificate that is none",
    ["registry", "--tls-cert", "image/oci-layout", "--tls-key", "image/oci-layout"],
    2,
  ],
  ["a certificate directory that is not there", ["inspect", "REGISTRY/x:y", "--cert-dir", "nothing"], 2],
  ["a credentials file that is not there", ["inspect", "REGISTRY/x:y", "--authfile", "nothing"], 2],
  ["a registry where no directories can be made", ["registry", "--root", "/proc/esgz-nothing/below"], 8],
  ["a question that nobody is there to answer", ["login", "REGISTRY"], 2],
  ["no connections", ["pull", "x", "--to", "rootfs:x", "--connections", "0"], 2],
  ["a file that is not there", ["cat", "REGISTRY/test/everything:esgz", "/no/such/file"], 3],
  ["an unknown option", ["pull", "x", "--no-such-option"], 2],
  ["an unknown command", ["frobnicate"], 2],
  ["a registry that is not there", ["inspect", "127.0.0.1:1/x/y:z"], 6],
  [
    "eStargz with docker media types",
    ["convert", "oci:image:plain", "oci:out:x", "--media-types", "docker"],
    7,
  ],
];

for (const [what, args, status] of FAILURES) {
  test(`esgz ends with ${status} for ${what}`, async () => {
    const result = await shell.run(args.map((arg) => arg.replace("REGISTRY", registry)));
    assert.equal(result.status, status, result.stderr);
    assert.equal(result.stdout, "");
    assert.notEqual(result.stderr, "");
    assert.doesNotMatch(result.stderr, /\n {4}at /);
  });
}

test("esgz says with --json what failed as one line of JSON", async () => {
  const missing = await shell.run(["inspect", `${registry}/test/nothing:here`, "--json"]);
  const { error } = JSON.parse(missing.stderr) as {
    error: { code: string; status: number; message: string };
  };
  assert.deepEqual(
    [error.code, error.status, missing.status, missing.stdout],
    ["REGISTRY_NOT_FOUND", 3, 3, ""],
  );
  const wrong = await shell.run(["inspect", "--json"]);
  assert.equal(
    wrong.stderr,
    `{"error":{"code":"USAGE_INVALID","message":"missing required argument 'image'","status":2}}\n`,
  );
});

test("esgz runs without a home, and leaves nothing where it runs", async () => {
  await using other = new CommandLine();
  const { status, stderr } = await other.run(["doctor"], { environment: { HOME: "" } });
  assert.equal(status, 0, stderr);
  assert.deepEqual(readdirSync(other.directory), []);
});

test("esgz started by its own name gets words that node would take for its own", () => {
  const program = resolve(import.meta.dirname, "../../bin/esgz.js");
  // Once for a container's program, once for esgz.
  for (const [args, said] of [
    [["run", "-v", "wrong", "localhost:1/a", "node", "--env-file=inside"], /Cannot mount volume "wrong"/],
    [["run", "--env-file", "missing", "localhost:1/a"], /Cannot read --env-file "missing"/],
  ] as const) {
    const { stderr } = spawnSync(program, args, {
      cwd: shell.directory,
      encoding: "utf8",
      env: { PATH: process.env["PATH"], HOME: shell.directory },
    });
    assert.match(stderr, said);
  }
});

test("esgz takes a signal that arrives twice at once for one, and ends in order", async () => {
  const { child } = await shell.start(["registry", "--listen", "127.0.0.1:0"]);
  const ended = new Promise((resolve) => child.once("exit", (...how) => resolve(how)));
  child.kill("SIGINT");
  child.kill("SIGINT");
  assert.deepEqual(await ended, [0, null]);
});

test("esgz cat ends when it is interrupted while its reader does not read", async () => {
  writeLayout("large", ustarFile("large", 8 << 20));
  const child = shell.begin(["cat", "oci:large:plain", "/large"]);
  await once(child.stdout ?? child, "readable");
  const ended = once(child, "exit");
  child.kill("SIGINT");
  assert.deepEqual(await ended, [130, null]);
});

/** A tar with one file of zeros. */
function ustarFile(name: string, size: number): Uint8Array {
  const tar = Buffer.alloc(512 + size);
  tar.write(name, 0);
  tar.write("0000644", 100);
  tar.write(size.toString(8).padStart(11, "0"), 124);
  tar.write("        0", 148);
  tar.write("ustar", 257);
  tar.write("00", 263);
  const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  tar.write(sum.toString(8).padStart(6, "0"), 148);
  return tar;
}

/** Starts a registry that knows `me` with the password `secret`. */
async function startGuardedRegistry(): Promise<string> {
  // As Apache's `htpasswd -nbB me secret` printed it.
  writeFileSync(
    join(shell.directory, "users"),
    "me:$2y$05$O71dNIIi3Bh34PqGwdaEVO6Ok7Q.AD3LAI4ttISbngSqc9rKvNo0O\n",
  );
  const { line } = await shell.start(["registry", "--listen", "127.0.0.1:0", "--htpasswd", "users"]);
  return /127\.0\.0\.1:\d+/.exec(line)?.[0] ?? "";
}

test("esgz login asks at a terminal for name and password, and shows no password", async (t) => {
  if (!hasTerminal) return t.skip("script (util-linux) is not installed");
  const guarded = await startGuardedRegistry();
  const { directory } = shell;
  const { status, screen } = await runAtTerminal(["login", guarded, "--authfile", "new-auth.json"], {
    directory,
    answers: [
      { after: /User name for [^:]+:\d+: /, type: "me\n" },
      { after: /Password for me: /, type: "wrong\u0015secretx\u007F\r" },
    ],
  });
  assert.equal(status, 0, screen);
  assert.match(screen, /Logged in to/);
  assert.doesNotMatch(screen, /secret|wrong/);
  const kept = JSON.parse(readFileSync(join(directory, "new-auth.json"), "utf8")) as {
    auths: Record<string, { auth: string }>;
  };
  assert.equal(kept.auths[guarded]?.auth, "bWU6c2VjcmV0");
  const interrupted = await runAtTerminal(["login", guarded, "-u", "me"], {
    directory,
    answers: [{ after: /Password for me: /, type: "\u0003" }],
  });
  assert.equal(interrupted.status, 130, interrupted.screen);
});

test("esgz login keeps a password that the registry accepts, logout forgets it", async () => {
  const guarded = await startGuardedRegistry();
  const wrong = await shell.run(["login", guarded, "-u", "me", "--password-stdin"], { input: "wrong\n" });
  assert.equal(wrong.status, 4);
  const right = await shell.run(["login", guarded, "-u", "me", "--password-stdin"], { input: "secret\n" });
  assert.equal(right.status, 0, right.stderr);
  const config = join(shell.directory, ".docker/config.json");
  assert.equal(lstatSync(config).mode & 0o777, 0o600);
  const pushed = await shell.run(["convert", "oci:image:plain", `${guarded}/mine:1`]);
  assert.equal(pushed.status, 0, pushed.stderr);
  assert.equal((await shell.run(["logout", guarded])).status, 0);
  const refused = await shell.run(["inspect", `${guarded}/mine:1`]);
  assert.equal(refused.status, 4);
  assert.match(refused.stderr, /\nesgz: credentials are those of `esgz login`/);
});
