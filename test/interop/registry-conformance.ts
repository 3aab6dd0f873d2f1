// The conformance suite of the distribution specification, against both storages.
//
// ESGZ_CONFORMANCE_SOURCE  the suite's `conformance` folder at v1.1.1; without it the Go module proxy is asked
// ESGZ_CONFORMANCE_CACHE   where the built suite is kept between runs; without it a folder below the temporary one
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { access, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { startRegistryServer } from "../../src/registry-server/index.ts";

const run = promisify(execFile);

// The commit of v1.1.1, the last version whose suite has the four categories; its tags are not those of the Go module.
const MODULE = "github.com/opencontainers/distribution-spec/conformance@v0.0.0-20250123160558-a139cc423184";
const CACHE = process.env["ESGZ_CONFORMANCE_CACHE"] ?? join(tmpdir(), "esgz-conformance");
const BINARY = join(CACHE, "conformance-v1.1.1");
const BUILD_TIMEOUT_MS = 45_000;

let reasonToSkip: string | undefined;

before(async () => {
  try {
    await access(BINARY).catch(() => build());
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    reasonToSkip = `the conformance suite cannot be built: ${message.slice(0, 300)}`;
  }
});

void describe("the conformance suite of the distribution specification", () => {
  for (const storage of ["memory", "directory"] as const) {
    for (const manifestsFirst of ["0", "1"]) {
      const order = manifestsFirst === "1" ? "manifests before blobs" : "blobs before manifests";
      test(`passes in ${storage}, deleting ${order}`, async (t) => {
        if (reasonToSkip !== undefined) return t.skip(reasonToSkip);
        await runSuite(t, storage, manifestsFirst);
      });
    }
  }
});

async function runSuite(
  t: TestContext,
  storage: "memory" | "directory",
  manifestsFirst: string,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "esgz-conformance-"));
  t.after(() => rm(folder, { recursive: true }));
  const root = storage === "memory" ? undefined : join(folder, "registry");
  await using server = await startRegistryServer({ root });
  const env = {
    PATH: process.env["PATH"],
    OCI_ROOT_URL: server.url,
    OCI_NAMESPACE: "conformance/first",
    OCI_CROSSMOUNT_NAMESPACE: "conformance/second",
    OCI_AUTOMATIC_CROSSMOUNT: "0",
    OCI_TEST_PULL: "1",
    OCI_TEST_PUSH: "1",
    OCI_TEST_CONTENT_DISCOVERY: "1",
    OCI_TEST_CONTENT_MANAGEMENT: "1",
    OCI_HIDE_SKIPPED_WORKFLOWS: "0",
    OCI_DELETE_MANIFEST_BEFORE_BLOBS: manifestsFirst,
    OCI_REPORT_DIR: "none",
  };
  const { stdout } = await run(BINARY, ["-ginkgo.no-color"], { cwd: folder, env }).catch(
    (error: Error & { readonly stdout?: string }) => assert.fail(error.stdout ?? error.message),
  );
  const summary = /(\d+) Passed \| (\d+) Failed \| (\d+) Pending \| (\d+) Skipped/.exec(stdout);
  t.diagnostic(summary?.[0] ?? "no summary");
  assert.equal(summary?.[2], "0");
  assert.ok(Number(summary?.[1]) >= 70, stdout);
}

async function build(): Promise<void> {
  const source = process.env["ESGZ_CONFORMANCE_SOURCE"] ?? (await downloadModule());
  await mkdir(CACHE, { recursive: true });
  const scratch = await mkdtemp(join(CACHE, "build-"));
  try {
    const output = join(scratch, "suite");
    const options = { cwd: source, timeout: BUILD_TIMEOUT_MS };
    await run("go", ["test", "-buildvcs=false", "-c", "-o", output, "."], options);
    await rename(output, BINARY);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function downloadModule(): Promise<string> {
  const options = { cwd: tmpdir(), timeout: BUILD_TIMEOUT_MS };
  const { stdout } = await run("go", ["mod", "download", "-json", MODULE], options).catch(
    (error: Error & { readonly stdout?: string }) => {
      const reason = /"Error": "(.*?)(?:\\n|")/.exec(error.stdout ?? "")?.[1];
      throw new Error(reason ?? error.message, { cause: error });
    },
  );
  return (JSON.parse(stdout) as { readonly Dir: string }).Dir;
}
