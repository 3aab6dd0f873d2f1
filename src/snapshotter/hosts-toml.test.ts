import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readHostsToml } from "./certs-directory.ts";
import { parseHostsToml } from "./hosts-toml.ts";

const directory = "/etc/containerd/certs.d/registry.test";

test("parseHostsToml() keeps mirrors in order, with certificates and headers", () => {
  const text = `
    server = "https://registry.test"
    ca = "own.pem"
    [host."https://b.mirror"]
      capabilities = ["pull", "resolve"]
      ca = ["/abs/ca.pem", "other.pem"]
      client = [["client.cert", "client.key"]]
      [host."https://b.mirror".header]
        x-one = "1"
        x-two = ["2", "3"]
    [host."http://a.mirror:5000"]
      skip_verify = true
    [host."https://push.only"]
      capabilities = ["push"]
    [host."https://path.mirror/v2/team"]
      override_path = true
    [host."https://project.mirror/v2"]
      override_path = true
  `;
  const { config, warnings } = parseHostsToml(text, { directory });
  assert.deepEqual(config, {
    url: "https://registry.test/v2",
    caFile: [`${directory}/own.pem`],
    mirrors: [
      {
        url: "https://b.mirror/v2",
        caFile: ["/abs/ca.pem", `${directory}/other.pem`],
        certFile: `${directory}/client.cert`,
        keyFile: `${directory}/client.key`,
        headers: { "x-one": "1", "x-two": "2, 3" },
      },
      { url: "http://a.mirror:5000/v2", skipVerify: true },
      { url: "https://path.mirror/v2/team", wholePath: true },
      { url: "https://project.mirror/v2", wholePath: true },
    ],
  });
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0] ?? "",
    /^host "https:\/\/push\.only" of .* is not used: it cannot be pulled from$/,
  );
});

test("parseHostsToml() takes one file for certificate and key, and names what has no effect", () => {
  const { config, warnings } = parseHostsToml('client = "both.pem"\ndial_timeout = "1s"\n', { directory });
  assert.deepEqual(config, { certFile: `${directory}/both.pem`, keyFile: `${directory}/both.pem` });
  assert.deepEqual(warnings, [`dial_timeout of ${directory}/hosts.toml has no effect`]);
  assert.throws(() => parseHostsToml("ca = 1", { directory }), /Cannot use "ca" in .*: expected/);
  assert.throws(() => parseHostsToml("[", { directory }), { code: "CONFIGURATION_INVALID" });
});

test("readHostsToml() finds a registry's directory, with its port written either way, or the default", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "esgz-certs-"));
  t.after(() => rm(root, { recursive: true }));
  assert.equal(readHostsToml(root, "absent.test"), undefined);
  for (const name of ["one.test", "two.test_5000_", "_default", "docker.io", "old.test:5001"]) {
    await mkdir(join(root, name));
    if (name !== "old.test:5001")
      await writeFile(join(root, name, "hosts.toml"), `server = "https://${name}"`);
  }
  for (const file of ["b.crt", "a.crt", "client.cert", "client.key"]) {
    await writeFile(join(root, "old.test:5001", file), file);
  }
  const urlOf = async (name: string): Promise<string | undefined> => readHostsToml(root, name)?.config.url;
  assert.equal(await urlOf("one.test"), "https://one.test/v2");
  assert.equal(await urlOf("two.test:5000"), "https://two.test_5000_/v2");
  assert.equal(await urlOf("other.test"), "https://_default/v2");
  assert.equal(await urlOf("registry-1.docker.io"), "https://docker.io/v2");
  assert.equal(await urlOf("../one.test"), "https://_default/v2");
  assert.deepEqual(readHostsToml(root, "old.test:5001")?.config, {
    ca: ["a.crt", "b.crt"],
    certFile: join(root, "old.test:5001", "client.cert"),
    keyFile: join(root, "old.test:5001", "client.key"),
  });
});
