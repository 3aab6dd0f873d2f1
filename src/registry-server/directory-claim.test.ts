import assert from "node:assert/strict";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { claimDirectory } from "./directory-claim.ts";
import { startRegistryServer } from "./registry-server.ts";

test("claimDirectory() refuses a directory that is claimed, by whatever path, until it is given back", async () => {
  const root = mkdtempSync(join(tmpdir(), "esgz-claim-"));
  try {
    symlinkSync(root, `${root}.link`);
    const claim = await claimDirectory(root);
    await assert.rejects(claimDirectory(`${root}.link`), { code: "ALREADY_EXISTS" });
    await claim[Symbol.asyncDispose]();
    await (await claimDirectory(root))[Symbol.asyncDispose]();
  } finally {
    rmSync(`${root}.link`, { force: true });
    rmSync(root, { recursive: true, force: true });
  }
});

test("startRegistryServer() refuses a root that another server serves", async () => {
  const root = mkdtempSync(join(tmpdir(), "esgz-claim-"));
  try {
    await using first = await startRegistryServer({ root });
    await assert.rejects(startRegistryServer({ root }), { code: "ALREADY_EXISTS" });
    await first.close();
    await using second = await startRegistryServer({ root });
    assert.notEqual(second.port, 0);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
