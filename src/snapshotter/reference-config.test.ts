import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isEsgzError } from "../errors/index.ts";
import { parseReferenceConfig } from "./reference-config.ts";

test("parseReferenceConfig() of an empty file gives the defaults, strict ones", () => {
  assert.deepEqual(parseReferenceConfig(""), {
    settings: {
      metricsAddress: undefined,
      verification: { disabled: false, allowSkipping: false },
      prefetch: true,
      prefetchSize: 0,
      backgroundFetch: true,
      backgroundConcurrency: undefined,
      requestTimeoutMs: undefined,
      maxRetries: undefined,
      debugLog: false,
      keychains: {
        kubeconfig: { enabled: false, path: undefined },
        cri: { enabled: false, imageServicePath: "/run/containerd/containerd.sock", listenPath: undefined },
      },
      mirrors: new Map(),
      certsDirectory: undefined,
    },
    warnings: [],
  });
});

test("parseReferenceConfig() understands a file made for containerd-stargz-grpc", () => {
  const { settings, warnings } = parseReferenceConfig(`
    metrics_address = "127.0.0.1:8234"
    noprefetch = true
    no_background_fetch = true
    allow_no_verification = true
    max_concurrency = 4
    [blob]
    max_retries = 7
    [kubeconfig_keychain]
    enable_keychain = true
    kubeconfig_path = "/etc/kubernetes/snapshotter/config.conf"
    [cri_keychain]
    enable_keychain = true
    image_service_path = "/run/other.sock"
    [resolver]
    request_timeout_sec = 15
    config_path = "/etc/containerd/certs.d"
    [[resolver.host."exampleregistry.io".mirrors]]
    host = "mirror.internal:5000"
    insecure = true
    [resolver.host."exampleregistry.io".mirrors.header]
    x-key = ["a", "b"]
    [[resolver.host."exampleregistry.io".mirrors]]
    host = "second.internal"
    [[resolver.host."registry-1.docker.io".mirrors]]
    host = "hub.internal"
  `);
  assert.deepEqual(warnings, []);
  assert.equal(settings.metricsAddress, "127.0.0.1:8234");
  assert.equal(settings.prefetch, false);
  assert.equal(settings.backgroundFetch, false);
  assert.deepEqual(settings.verification, { disabled: false, allowSkipping: true });
  assert.equal(settings.backgroundConcurrency, 4);
  assert.equal(settings.maxRetries, 7);
  assert.equal(settings.requestTimeoutMs, 15_000);
  assert.equal(settings.certsDirectory, "/etc/containerd/certs.d");
  assert.deepEqual(settings.keychains, {
    kubeconfig: { enabled: true, path: "/etc/kubernetes/snapshotter/config.conf" },
    cri: { enabled: true, imageServicePath: "/run/other.sock", listenPath: undefined },
  });
  assert.deepEqual(
    [...settings.mirrors],
    [
      [
        "exampleregistry.io",
        [
          { url: "mirror.internal:5000", plainHttp: true, headers: { "x-key": "a, b" } },
          { url: "second.internal" },
        ],
      ],
      ["docker.io", [{ url: "hub.internal" }]],
    ],
  );
});

test("parseReferenceConfig() names keys without effect and keys that nobody knows", () => {
  const { warnings } = parseReferenceConfig(`
    http_cache_type = "memory"
    tpyo = 1
    [blob]
    check_always = true
    chunk_siez = 2
    [directory_cache]
    direct = true
    new_key = true
    [fuse_manager]
    enable = true
    [unknown]
    key = 1
    [[resolver.host."h".mirrors]]
    host = "m"
    request_timeout_sec = 3
    hots = "n"
    [resolver.host."h"]
    mirror = 1
  `);
  assert.deepEqual(warnings, [
    "http_cache_type has no effect: layers are kept in the store, once, verified",
    "tpyo is not a known key",
    "blob.check_always has no effect: mounts do not depend on a connection",
    "blob.chunk_siez is not a known key",
    "directory_cache.direct has no effect: layers are kept in the store, once, verified",
    "directory_cache.new_key is not a known key",
    "fuse_manager.enable has no effect: mounts survive the server by themselves",
    "unknown is not a known key",
    'resolver.host."h".mirror is not a known key',
    'resolver.host."h".mirrors[0].hots is not a known key',
    'resolver.host."h".mirrors[0].request_timeout_sec has no effect: there is one time limit for all hosts, resolver.request_timeout_sec',
  ]);
});

test("parseReferenceConfig() refuses values of another type, and text that is no TOML", () => {
  assert.throws(
    () => parseReferenceConfig("noprefetch = 1"),
    /Cannot use configuration key "noprefetch": expected boolean, got 1/,
  );
  assert.throws(() => parseReferenceConfig('[resolver]\nhost = "x"'), /resolver\.host/);
  assert.throws(
    () => parseReferenceConfig("= ="),
    (error) => isEsgzError(error, "CONFIGURATION_INVALID"),
  );
});

test("parseReferenceConfig() gives a value or its error for any text", () => {
  const piece = fc.constantFrom(
    "[",
    "]",
    "=",
    "\n",
    "resolver",
    ".host",
    '"a"',
    "mirrors",
    "1",
    "true",
    "blob",
    "__proto__",
  );
  fc.assert(
    fc.property(
      fc.array(piece).map((pieces) => pieces.join("")),
      (text) => {
        try {
          parseReferenceConfig(text);
        } catch (error) {
          assert.ok(isEsgzError(error, "CONFIGURATION_INVALID"), String(error));
        }
      },
    ),
  );
});
