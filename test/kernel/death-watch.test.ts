/**
 * Servers that were killed while they waited for themselves.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { mkdtemp, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { answerFor, isDying } from "../../src/daemon/death-watch.ts";
import { loadNativeCalls } from "../../src/daemon/native-calls.ts";
import { type Negotiated, unmountFuse } from "../../src/fuse/index.ts";
import { until } from "./daemon-setup.ts";
import { hasKernel, missingFuse } from "./fuse-mounts.ts";

test(
  "a server that was killed while it waited for its own mount ends when it is answered for",
  { timeout: 240_000 },
  async (t) => {
    const reason = missingFuse() ?? (hasKernel(6, 9) ? undefined : "needs Linux 6.9");
    if (reason !== undefined) return t.skip(reason);
    const target = await mkdtemp(join(tmpdir(), "esgz-stuck-"));
    const program = join(import.meta.dirname, "stuck-process.ts");
    const child = spawn(process.execPath, [program, target], { stdio: ["ignore", "pipe", "inherit"] });
    const exited = once(child, "exit");
    let hasExited = false;
    child.once("exit", () => (hasExited = true));
    const pid = child.pid ?? 0;
    let copy = -1;
    try {
      const [line] = (await once(child.stdout, "data")) as [Buffer];
      const { fd, negotiated } = JSON.parse(line.toString()) as { fd: number; negotiated: Negotiated };
      copy = loadNativeCalls().copyDescriptor(pid, fd);
      assert.ok(copy >= 0);
      assert.equal(isDying(pid), false);
      child.kill("SIGKILL");
      await until(() => isDying(pid), "the death");
      // It is no moment: nothing but an answer helps.
      await pause(300);
      assert.ok(isDying(pid) && !hasExited);
      assert.equal(answerFor(pid, { id: "stuck", fd: copy, negotiated, target }), 1);
      await exited;
      assert.equal(isDying(pid), false);
    } finally {
      // Without the last copy the connection ends, and with it whatever waits.
      if (copy >= 0) closeSync(copy);
      child.kill("SIGKILL");
      await unmountFuse(target, { lazy: true, method: "call" });
      await rmdir(target);
    }
  },
);
