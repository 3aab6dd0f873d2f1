// Other people's clients against the registry.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { type RegistryServerOptions, startRegistryServer } from "../../src/registry-server/index.ts";

const run = promisify(execFile);
// Made by Apache's `htpasswd -nbB`.
const HTPASSWD = "alice:$2y$05$Ujrvb.kWiVRN1E6B3GN4jO6I2vVNp6pBrppc1I.f3zlKK8BWPg876\n";
const CREDENTIALS = "alice:sesam öffne dich";

interface Workshop {
  /** An empty folder of the test's own. */
  readonly folder: string;
  /** An OCI layout with an image `base` of one layer. */
  readonly layout: string;
}

/** Prepares an image, or skips the test with the reason. */
async function openWorkshop(t: TestContext): Promise<Workshop | undefined> {
  for (const tool of ["skopeo", "umoci"]) {
    const found = await run(tool, ["--version"]).catch(() => undefined);
    if (found !== undefined) continue;
    t.skip(`${tool} is not installed`);
    return undefined;
  }
  const folder = await mkdtemp(join(tmpdir(), "esgz-clients-"));
  t.after(() => rm(folder, { recursive: true }));
  const layout = join(folder, "layout");
  await run("umoci", ["init", "--layout", layout]);
  await run("umoci", ["new", "--image", `${layout}:base`]);
  await mkdir(join(folder, "files"));
  await writeFile(join(folder, "files", "large"), Buffer.alloc(3_000_000, "esgz "));
  await run("umoci", ["insert", "--rootless", "--image", `${layout}:base`, join(folder, "files"), "/files"]);
  return { folder, layout };
}

async function manifestOf(layout: string): Promise<string> {
  const index = JSON.parse(await readFile(join(layout, "index.json"), "utf8")) as {
    readonly manifests: readonly { readonly digest: string }[];
  };
  return index.manifests[0]?.digest ?? "";
}

/** Copies the image to the registry and back. */
async function roundTrip({ folder, layout }: Workshop, port: number, credentials?: string): Promise<void> {
  const there = credentials === undefined ? [] : ["--dest-creds", credentials];
  const back = credentials === undefined ? [] : ["--src-creds", credentials];
  const image = `docker://127.0.0.1:${port}/team/base:1`;
  await run("skopeo", ["copy", "--dest-tls-verify=false", ...there, `oci:${layout}:base`, image]);
  const returned = join(folder, "returned");
  await run("skopeo", ["copy", "--src-tls-verify=false", ...back, image, `oci:${returned}:base`]);
  assert.equal(await manifestOf(returned), await manifestOf(layout));
  await run("umoci", ["unpack", "--rootless", "--image", `${returned}:base`, join(folder, "bundle")]);
  const file = await readFile(join(folder, "bundle", "rootfs", "files", "large"));
  assert.ok(file.equals(Buffer.alloc(3_000_000, "esgz ")));
}

const SETTINGS: Readonly<Record<string, RegistryServerOptions>> = {
  "without passwords": {},
  "with passwords": { htpasswd: HTPASSWD },
  "with tokens": { htpasswd: HTPASSWD, token: {} },
};

void describe("skopeo and umoci", () => {
  for (const [name, options] of Object.entries(SETTINGS)) {
    test(`push an image and pull it back ${name}`, async (t) => {
      const workshop = await openWorkshop(t);
      if (workshop === undefined) return;
      await using server = await startRegistryServer({ root: join(workshop.folder, "registry"), ...options });
      const { htpasswd } = options;
      await roundTrip(workshop, server.port, htpasswd === undefined ? undefined : CREDENTIALS);
      if (htpasswd === undefined) return;
      const image = `docker://127.0.0.1:${server.port}/team/base:1`;
      const wrong = ["inspect", "--tls-verify=false", "--creds", "alice:wrong", image];
      await assert.rejects(run("skopeo", wrong), /unauthorized|authentication required/);
    });
  }

  test("list tags and delete an image", async (t) => {
    const workshop = await openWorkshop(t);
    if (workshop === undefined) return;
    await using server = await startRegistryServer();
    const repository = `docker://127.0.0.1:${server.port}/team/base`;
    for (const tag of ["1", "2"]) {
      const source = `oci:${workshop.layout}:base`;
      await run("skopeo", ["copy", "--dest-tls-verify=false", source, `${repository}:${tag}`]);
    }
    const list = await run("skopeo", ["list-tags", "--tls-verify=false", repository]);
    assert.deepEqual((JSON.parse(list.stdout) as { readonly Tags: string[] }).Tags, ["1", "2"]);
    await run("skopeo", ["delete", "--tls-verify=false", `${repository}:1`]);
    await assert.rejects(run("skopeo", ["inspect", "--tls-verify=false", `${repository}:1`]));
  });

  test("push to and pull from a registry that speaks TLS", async (t) => {
    const workshop = await openWorkshop(t);
    if (workshop === undefined) return;
    const tls = await createCertificate(workshop.folder);
    if (tls === undefined) return t.skip("openssl is not installed");
    await using server = await startRegistryServer({ tls });
    assert.match(server.url, /^https:/);
    await roundTrip(workshop, server.port);
  });
});

async function createCertificate(
  folder: string,
): Promise<{ readonly key: string; readonly cert: string } | undefined> {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
  const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
  const files = ["-keyout", key, "-out", cert];
  const made = await run("openssl", ["req", ...kind, ...subject, ...files]).catch(() => undefined);
  if (made === undefined) return undefined;
  return { key: await readFile(key, "utf8"), cert: await readFile(cert, "utf8") };
}
