import assert from "node:assert/strict";
import { test } from "node:test";
import { baseUrlOf, defaultUploadMode, type EndpointConfig } from "./host-config.ts";

test("baseUrlOf() speaks https, but plain HTTP to this machine and where it was configured", () => {
  const cases: [string, EndpointConfig, string][] = [
    ["ghcr.io", {}, "https://ghcr.io/v2/"],
    ["docker.io", {}, "https://registry-1.docker.io/v2/"],
    ["localhost:5000", {}, "http://localhost:5000/v2/"],
    ["127.1.2.3", {}, "http://127.1.2.3/v2/"],
    ["[::1]:5000", {}, "http://[::1]:5000/v2/"],
    ["127.0.0.1.example.com", {}, "https://127.0.0.1.example.com/v2/"],
    ["localhost:5000", { plainHttp: false }, "https://localhost:5000/v2/"],
    ["registry.lan", { plainHttp: true }, "http://registry.lan/v2/"],
    ["x.io", { url: "https://mirror.lan/prefix/" }, "https://mirror.lan/prefix/v2/"],
    ["x.io", { url: "https://mirror.lan/custom/v2" }, "https://mirror.lan/custom/v2/"],
    ["x.io", { url: "https://mirror.lan/v2/proxy/", wholePath: true }, "https://mirror.lan/v2/proxy/"],
    ["x.io", { url: "https://mirror.lan", wholePath: true }, "https://mirror.lan/"],
    ["x.io", { url: "mirror.lan:5000" }, "https://mirror.lan:5000/v2/"],
  ];
  for (const [registry, config, expected] of cases) assert.equal(baseUrlOf(registry, config).href, expected);
});

test("baseUrlOf() refuses addresses that hold more than an address", () => {
  const wrong: EndpointConfig[] = [
    { url: "ftp://x" },
    { url: "https://user:pw@x" },
    { url: "https://x?y" },
    { url: "https://" },
    { url: "https://x", plainHttp: true },
  ];
  for (const config of wrong) {
    assert.throws(() => baseUrlOf("x", config), { code: "CONFIGURATION_INVALID", message: /^(?!.*pw@)/ });
  }
});

test("defaultUploadMode() streams to Google's registries", () => {
  assert.equal(defaultUploadMode("europe-docker.pkg.dev"), "streamed");
  assert.equal(defaultUploadMode("gcr.io"), "streamed");
  assert.equal(defaultUploadMode("notgcr.io"), "chunked");
});
