import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Holder } from "./holder.ts";

test("a holder for whose server the system has no room tries again until it is stopped", async (t) => {
  const store = await mkdtemp(join(tmpdir(), "esgz-holder-"));
  t.after(() => rm(store, { recursive: true }));
  // More than the system takes for one variable of a process: it refuses to start any.
  process.env["ESGZ_TEST_LARGE"] = "x".repeat(1 << 20);
  t.after(() => delete process.env["ESGZ_TEST_LARGE"]);
  const inherited = { listening: [], adopted: [], restarts: 0, startedMs: 0 };
  const holder = Holder.open({ settings: { store }, inherited }, () => undefined);
  const ended = holder.run();
  holder.stop("asked");
  assert.deepEqual(await ended, {});
});
