import assert from "node:assert/strict";
import { test } from "node:test";
import { selectProxy } from "./proxy-selection.ts";

const SETTINGS = { httpProxy: "http://plain:3128", httpsProxy: "secure:3129" };

function proxyOf(target: string, noProxy = ""): string | undefined {
  return selectProxy(new URL(target), { ...SETTINGS, noProxy })?.href;
}

test("selectProxy() chooses by the target's scheme and completes a bare host", () => {
  assert.equal(proxyOf("http://example.com/v2/"), "http://plain:3128/");
  assert.equal(proxyOf("https://example.com/v2/"), "http://secure:3129/");
  assert.equal(selectProxy(new URL("https://example.com"), {}), undefined);
});

test("selectProxy() never proxies this machine", () => {
  for (const host of ["localhost:5000", "127.0.0.1", "127.8.9.10:1", "[::1]:5000"]) {
    assert.equal(proxyOf(`http://${host}/`), undefined, host);
  }
});

test("selectProxy() honours NO_PROXY", () => {
  const direct: [string, string][] = [
    ["https://example.com", "*"],
    ["https://example.com", "other, example.com"],
    ["https://a.example.com", "example.com"],
    ["https://a.example.com", ".example.com"],
    ["https://a.example.com", "*.example.com"],
    ["https://example.com", "example.com:443"],
    ["http://10.1.2.3:5000", "10.0.0.0/8"],
    ["http://10.1.2.3:5000", "10.1.2.3"],
    ["https://EXAMPLE.com", "Example.COM"],
  ];
  for (const [target, noProxy] of direct)
    assert.equal(proxyOf(target, noProxy), undefined, `${target} ${noProxy}`);
  const proxied: [string, string][] = [
    ["https://example.com", ".example.com"],
    ["https://badexample.com", "example.com"],
    ["https://example.com:8443", "example.com:443"],
    ["http://11.1.2.3", "10.0.0.0/8"],
    ["http://1.10.1.2", "10.1.2"],
  ];
  for (const [target, noProxy] of proxied)
    assert.notEqual(proxyOf(target, noProxy), undefined, `${target} ${noProxy}`);
});
