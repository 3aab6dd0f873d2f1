import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { parseIndex } from "../oci/index.ts";
import type { Clock } from "../async/index.ts";
import { withIndexLock } from "./index-lock.ts";
import { temporaryDirectory } from "./layer.fixture.ts";

test("withIndexLock() waits for a holder and gives the lock up also after a failure", async (t) => {
  const path = join(await temporaryDirectory(t), "lock");
  writeFileSync(path, "");
  const order: string[] = [];
  const waiting = withIndexLock(path, () => order.push("second"));
  const leaving = withIndexLock(
    path,
    () => {
      throw new Error("broken");
    },
    { clock: clockThat(() => order.push("first")) },
  );
  await assert.rejects(leaving, /broken/);
  await waiting;
  assert.deepEqual(order.at(-1), "second");
  assert.equal(existsSync(path), false);
});

test("withIndexLock() takes over a lock that nobody has given up for long", async (t) => {
  const path = join(await temporaryDirectory(t), "lock");
  writeFileSync(path, "");
  let sleeps = 0;
  const clock = clockThat(() => (sleeps += 1));
  assert.equal(await withIndexLock(path, () => "done", { clock }), "done");
  assert.equal(sleeps > 2, true);
});

test("withIndexLock() ends waiting with its signal", async (t) => {
  const path = join(await temporaryDirectory(t), "lock");
  writeFileSync(path, "");
  const reason = new Error("enough");
  await assert.rejects(
    withIndexLock(path, () => "never", { signal: AbortSignal.abort(reason) }),
    reason,
  );
  assert.equal(existsSync(path), true);
});

/** A clock that a sleep moves by ten seconds at once. */
function clockThat(onSleep: () => void): Clock {
  let nowMs = 0;
  return {
    nowMs: () => nowMs,
    wallMs: () => nowMs,
    sleep: () => {
      nowMs += 10_000;
      onSleep();
      return Promise.resolve();
    },
  };
}

test("images that several processes publish to one layout at once are all there", async (t) => {
  const directory = await temporaryDirectory(t);
  const script = `
    import { openImageDestination } from ${JSON.stringify(join(import.meta.dirname, "index.ts"))};
    const [directory, prefix] = process.argv.slice(1);
    for (let at = 0; at < 10; at += 1) {
      await using destination = await openImageDestination("oci:" + directory + ":" + prefix + at, {});
      const bytes = new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, mediaType: TYPE, manifests: [] }));
      await destination.publish(await destination.writeManifest({ bytes, mediaType: TYPE }));
    }`.replaceAll("TYPE", '"application/vnd.oci.image.index.v1+json"');
  const processes = ["a", "b", "c"].map((prefix) =>
    promisify(execFile)(process.execPath, ["--input-type=module", "-e", script, directory, prefix]),
  );
  await Promise.all(processes);
  const tags = parseIndex(readFileSync(join(directory, "index.json"))).manifests?.map(
    ({ annotations }) => annotations?.["org.opencontainers.image.ref.name"],
  );
  assert.equal(new Set(tags).size, 30);
});
