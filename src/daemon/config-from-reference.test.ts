import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isReferenceConfig } from "./config-kind.ts";
import { configFromReference } from "./config-from-reference.ts";
import { daemonSockets, missingSockets } from "./daemon-sockets.ts";
import { DEFAULT_CONFIG } from "./parse-config.ts";
import { readConfig } from "./read-config.ts";

const REFERENCE = `
metrics_address = "127.0.0.1:8234"
noprefetch = true
no_background_fetch = true
max_concurrency = 3
prefetch_size = 1000
allow_no_verification = true
debug = true
http_cache_type = "memory"
[blob]
max_retries = 2
[resolver]
request_timeout_sec = 7
config_path = "/etc/containerd/certs.d"
[[resolver.host."registry.test".mirrors]]
host = "mirror.test:5000"
insecure = true
  [resolver.host."registry.test".mirrors.header]
  x-team = ["a", "b"]
[cri_keychain]
enable_keychain = true
image_service_path = "/run/containerd/containerd.sock"
listen_path = "/run/images.sock"
[kubeconfig_keychain]
enable_keychain = true
kubeconfig_path = "/etc/kubernetes/kubelet.conf"
`;

test("isReferenceConfig() tells a file by keys that only one of both programs knows", () => {
  const cases: readonly (readonly [string, boolean])[] = [
    ["", false],
    ["# nothing", false],
    ["noprefetch = true", true],
    [REFERENCE, true],
    ["[snapshotter]\nallow_invalid_mounts_on_restart = true", false],
    ["[snapshotter]\nallow_invalid_mounts_on_restart = true\n[fuse]\n", true],
    ["noprefetch = true\n[fetch]\n", false],
    ["[registries]\n", false],
    ["not toml", false],
  ];
  for (const [text, isOne] of cases) assert.equal(isReferenceConfig(text), isOne, text);
});

test("configFromReference() gives each key that has a meaning its effect", () => {
  const { config, warnings } = configFromReference(REFERENCE, { path: "c.toml" });
  assert.deepEqual(warnings, [
    "c.toml: http_cache_type has no effect: layers are kept in the store, once, verified",
  ]);
  assert.deepEqual(config, {
    ...DEFAULT_CONFIG,
    logLevel: "debug",
    metricsListen: "127.0.0.1:8234",
    prefetch: false,
    background: false,
    fetch: { ...DEFAULT_CONFIG.fetch, backgroundConnections: 3 },
    registries: {
      "registry.test": {
        mirrors: [{ url: "mirror.test:5000", plain_http: true, headers: { "x-team": "a, b" } }],
      },
    },
    registriesDirectory: "/etc/containerd/certs.d",
    registryTimeoutMs: 7000,
    registryRetries: 2,
    snapshotter: {
      address: undefined,
      verification: { disabled: false, allowSkipping: true },
      remapIds: false,
      prefetchBytes: 1000,
    },
    keychains: {
      kubeconfig: { enabled: true, path: "/etc/kubernetes/kubelet.conf" },
      cri: {
        enabled: true,
        imageServicePath: "/run/containerd/containerd.sock",
        listenPath: "/run/images.sock",
      },
    },
  });
});

test("readConfig() reads the files of both programs", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "esgz-config-"));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, "config.toml");
  await writeFile(path, REFERENCE);
  assert.equal((await readConfig(path))?.config.registryRetries, 2);
  await writeFile(path, 'quota = "1GiB"\n[fetch]\nbackground = false\n');
  assert.equal((await readConfig(path))?.config.quotaBytes, 1_073_741_824);
});

test("daemonSockets() are those of the command line and the configuration, each once", () => {
  const { config } = configFromReference(REFERENCE, { path: "c.toml" });
  const images = { name: "images", path: "/run/images.sock" };
  assert.deepEqual(daemonSockets(DEFAULT_CONFIG, { address: undefined }), []);
  assert.deepEqual(daemonSockets(config, { address: "/run/s.sock" }), [
    { name: "snapshots", path: "/run/s.sock" },
    images,
  ]);
  assert.deepEqual(daemonSockets(config, { address: "/run/images.sock" }), [
    { name: "snapshots", path: "/run/images.sock" },
  ]);
});

test("missingSockets() are those of kinds that a daemon for it has none of", () => {
  const { config } = configFromReference(REFERENCE, { path: "c.toml" });
  const settings = { store: "/s", sockets: [] };
  const images = { name: "images", path: "/run/images.sock" };
  const snapshots = { name: "snapshots", path: "/run/s.sock", fd: 5 };
  assert.deepEqual(missingSockets(config, { settings, listening: [snapshots] }), [images]);
  assert.deepEqual(missingSockets(config, { settings, listening: [snapshots, { ...images, fd: 6 }] }), []);
  const moved = { ...images, path: "/run/other.sock", fd: 6 };
  assert.deepEqual(missingSockets(config, { settings, listening: [snapshots, moved] }), []);
  assert.deepEqual(missingSockets(config, { settings: { store: "/s" }, listening: [] }), []);
});
