import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "smol-toml";
import fc from "fast-check";
import { isEsgzError } from "../errors/index.ts";
import { METRICS } from "./metrics.ts";
import { DEFAULT_CONFIG, parseConfig } from "./parse-config.ts";
import { storeRootOf } from "./store-root.ts";
import { parseByteSize, parseDurationMs } from "./quantity.ts";

const FULL = `
store = "/srv/esgz"
quota = "20GiB"
jobs = 3
registries_dir = "/etc/containerd/certs.d"
authfile = "/etc/esgz/auth.json"

[log]
level = "debug"

[daemon]
idle_exit = "5m"
checkpoint = 7
grace = "250ms"

[fetch]
connections = 12
background_connections = 3
range = "8MiB"
memory = 67108864
read_ahead = "4MB"
deadline = "10s"
prefetch = false
background = false

[mounts]
view = "tree"

[metrics]
listen = "127.0.0.1:9750"

[snapshotter]
address = "/run/esgz/snapshotter.sock"
allow_no_verification = true
disable_verification = false
remap_ids = true
prefetch_size = "1MiB"

[keychains]
kubeconfig = "/etc/kubernetes/kubelet.conf"
cri = "/run/containerd/containerd.sock"
cri_listen = "/run/esgz/images.sock"

[registries."registry.example"]
plain_http = true
headers = { x-team = "a" }
mirrors = [{ url = "http://mirror.example:5000", tls_verify = false }]
`;

function failureOf(text: string): { message: string; line: unknown; column: unknown } {
  try {
    parseConfig(text, { path: "c.toml" });
  } catch (error) {
    assert.ok(isEsgzError(error, "CONFIGURATION_INVALID"), String(error));
    return { message: error.message, line: error.details["line"], column: error.details["column"] };
  }
  return assert.fail("expected an error");
}

test("parseConfig() reads every key", () => {
  const { config, warnings } = parseConfig(FULL, { path: "c.toml" });
  assert.deepEqual(warnings, []);
  assert.deepEqual(config, {
    store: "/srv/esgz",
    quotaBytes: 21_474_836_480,
    jobs: 3,
    authfile: "/etc/esgz/auth.json",
    logLevel: "debug",
    idleExitMs: 300_000,
    checkpointMs: 7000,
    graceMs: 250,
    fetch: {
      connections: 12,
      backgroundConnections: 3,
      rangeSize: 8_388_608,
      bytesInFlight: 67_108_864,
      readAheadMax: 4_000_000,
      demandDeadlineMs: 10_000,
    },
    prefetch: false,
    background: false,
    view: "tree",
    metricsListen: "127.0.0.1:9750",
    registries: {
      "registry.example": {
        plain_http: true,
        headers: { "x-team": "a" },
        mirrors: [{ url: "http://mirror.example:5000", tls_verify: false }],
      },
    },
    registriesDirectory: "/etc/containerd/certs.d",
    registryTimeoutMs: undefined,
    registryRetries: undefined,
    snapshotter: {
      address: "/run/esgz/snapshotter.sock",
      verification: { disabled: false, allowSkipping: true },
      remapIds: true,
      prefetchBytes: 1_048_576,
    },
    keychains: {
      kubeconfig: { enabled: true, path: "/etc/kubernetes/kubelet.conf" },
      cri: {
        enabled: true,
        imageServicePath: "/run/containerd/containerd.sock",
        listenPath: "/run/esgz/images.sock",
      },
    },
  });
});

test("the documentation names every key and every metric", () => {
  const text = readFileSync(new URL("../../docs/daemon.md", import.meta.url), "utf8");
  const { registries = {}, ...sections } = parse(FULL);
  const keys = Object.entries(sections).flatMap(([name, value]) =>
    typeof value === "object" ? Object.keys(value).map((key) => `${name}.${key}`) : [name],
  );
  const ofRegistry = [
    "url",
    "plain_http",
    "tls_verify",
    "cert_dir",
    "ca_file",
    "client_cert",
    "client_key",
    "headers",
  ];
  assert.deepEqual(Object.keys(registries), ["registry.example"]);
  const wanted = [
    ...keys,
    ...[...ofRegistry, "mirrors"].map((key) => `registries."HOST".${key}`),
    ...METRICS.map(({ name }) => name),
  ];
  assert.deepEqual(
    wanted.filter((name) => !text.includes(`| \`${name}\``)),
    [],
  );
});

test("parseConfig() of an empty text gives the defaults", () => {
  assert.deepEqual(parseConfig("", { path: "c.toml" }), { config: DEFAULT_CONFIG, warnings: [] });
});

test("parseConfig() names unknown keys and goes on", () => {
  const text =
    'jobs = 2\nquotta = "1GiB"\n\n[fetch]\nconections = 3\n\n[registries."a.example"]\nmirors = []\n';
  const { config, warnings } = parseConfig(text, { path: "c.toml" });
  assert.equal(config.jobs, 2);
  assert.deepEqual(warnings.toSorted(), [
    'c.toml:2: unknown key "quotta" is ignored',
    'c.toml:5: unknown key "fetch.conections" is ignored',
    'c.toml:8: unknown key "registries.a.example.mirors" is ignored',
  ]);
});

test("parseConfig() says line and column of what is no TOML", () => {
  assert.deepEqual(
    { ...failureOf('jobs = 2\nquota = "1GiB\n'), message: "" },
    { message: "", line: 2, column: 14 },
  );
});

test("parseConfig() says line and column of a wrong value", () => {
  const wrong: readonly [text: string, message: string, line: number, column: number][] = [
    ["jobs = 0", 'c.toml:1:1": expected a number from 1 to 256 for "jobs", got 0', 1, 1],
    ["jobs = 1.5", 'c.toml:1:1": expected a whole number from 1 to 256 for "jobs", got 1.5', 1, 1],
    ['# x\n\n  quota = "much"', 'expected a size such as "20GiB" for "quota", got "much"', 3, 3],
    ["[fetch]\nprefetch = 1\nbackground = 2", 'expected true or false for "fetch.prefetch", got 1', 2, 1],
    ['[log]\n\nlevel = "loud"\n[fetch]', "expected trace, debug, info, warn, error or silent", 3, 1],
    ['authfile = "relative"', "expected an absolute path", 1, 1],
    ['[metrics]\nlisten = "nowhere"', 'expected "host:port"', 2, 1],
    ["fetch = 3", "expected a table", 1, 1],
    [
      '[registries."a.example"]\nmirrors = [\n  { url = "http://b" },\n  { url = 7 },\n]',
      "expected a text",
      2,
      1,
    ],
  ];
  for (const [text, message, line, column] of wrong) {
    const failure = failureOf(text);
    assert.ok(failure.message.includes(message), failure.message);
    assert.deepEqual([failure.line, failure.column], [line, column], text);
  }
});

test("parseConfig() gives a value or a typed error for any text", () => {
  const line = fc.oneof(
    fc.constantFrom(
      "[fetch]",
      "[registries.a]",
      "jobs = 3",
      "mirrors = [",
      "]",
      'quota = "1',
      '[["x"]]',
      "a.b.c = 1",
    ),
    fc.string({ maxLength: 20 }),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), (lines) => {
      try {
        parseConfig(lines.join("\n"), { path: "c.toml" });
      } catch (error) {
        assert.ok(isEsgzError(error, "CONFIGURATION_INVALID"), String(error));
      }
    }),
  );
});

test("sizes and durations are read as people write them", () => {
  assert.equal(parseByteSize("64KiB"), 65_536);
  assert.equal(parseByteSize("1.5G"), 1_610_612_736);
  assert.equal(parseByteSize("1GB"), 1_000_000_000);
  assert.equal(parseByteSize(12), 12);
  assert.equal(parseByteSize("12 parsecs"), undefined);
  assert.equal(parseByteSize(-1), undefined);
  assert.equal(parseByteSize("99999999999999TiB"), undefined);
  assert.equal(parseDurationMs("250ms"), 250);
  assert.equal(parseDurationMs("2h"), 7_200_000);
  assert.equal(parseDurationMs(30), 30_000);
  assert.equal(parseDurationMs("1d"), undefined);
});

test("storeRootOf() is what the configuration says, else the user's own directory", async (t) => {
  const home = mkdtempSync(join(tmpdir(), "esgz-config-"));
  t.after(() => rmSync(home, { recursive: true }));
  const owner = { uid: 1000, home, variables: { XDG_DATA_HOME: "" } };
  assert.equal(await storeRootOf(owner), join(home, ".local/share/esgz"));
  mkdirSync(join(home, ".config/esgz"), { recursive: true });
  writeFileSync(join(home, ".config/esgz/config.toml"), 'store = "/srv/layers"\n');
  assert.equal(await storeRootOf(owner), "/srv/layers");
  const other = join(home, "other.toml");
  writeFileSync(other, "jobs = 1\n");
  assert.equal(await storeRootOf(owner, { configPath: other }), join(home, ".local/share/esgz"));
  assert.equal(
    await storeRootOf({ ...owner, variables: { XDG_CONFIG_HOME: home, XDG_DATA_HOME: "/data" } }),
    "/data/esgz",
  );
});
