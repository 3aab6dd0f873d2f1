/**
 * Ways to mount, and what a person at a terminal sees of a store.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { missingForStore, StoreShell } from "./store.fixture.ts";
import { hasTerminal, runAtTerminal } from "./terminal.fixture.ts";

const registry = new StoreShell();
before(async () => {
  if (missingForStore === undefined) await registry.open();
});
after(() => registry[Symbol.asyncDispose]());

const WAYS: readonly (readonly [flags: readonly string[], method: string])[] = [
  [["--view", "erofs"], "erofs-file"],
  [["--view", "loop"], "erofs-loop"],
  [["--view", "tree"], "tree"],
  [["--view", "tree", "--layers", "--no-prefetch"], "tree"],
];

for (const [flags, method] of WAYS) {
  test(`esgz mount ${flags.join(" ")} shows the image in that way`, async (t) => {
    if (missingForStore !== undefined) return t.skip(missingForStore);
    // Nothing is here, so that nothing is shown without FUSE.
    await using own = new StoreShell();
    const directory = own.directory("root");
    const mounted = await own.run([
      "mount",
      registry.image,
      directory,
      "--no-background",
      "--json",
      ...flags,
    ]);
    if (/NOT_SUPPORTED|MOUNT_FAILED/.test(mounted.stderr)) return t.skip(mounted.stderr);
    assert.equal(mounted.status, 0, mounted.stderr);
    assert.equal((JSON.parse(mounted.stdout) as { method: string }).method, method);
    assert.equal(readFileSync(join(directory, "data/hello"), "utf8"), "hello from the image\n");
    const large = readFileSync(join(directory, "data/large"));
    assert.equal(large.equals(Buffer.alloc(3 << 20, "0123456789abcdef")), true);
    assert.equal((await own.run(["umount", directory])).status, 0);
    assert.equal((await own.run(["daemon", "--stop"])).status, 0);
    assert.deepEqual(own.mounts(), []);
  });
}

test("at a terminal, esgz pull draws rows, esgz run -t gives a terminal, esgz top ends with Ctrl-C", async (t) => {
  if (missingForStore !== undefined) return t.skip(missingForStore);
  if (!hasTerminal) return t.skip("script (util-linux) is not installed");
  await using own = new StoreShell();
  const options = { directory: own.shell.directory, environment: { ESGZ_STORE: own.store } };
  const pulled = await runAtTerminal(["pull", registry.image], options);
  assert.equal(pulled.status, 0, pulled.screen);
  assert.match(pulled.screen, /index loaded in /);
  assert.match(pulled.screen, /layer 0 \w{12} \[=* *\]/);
  const script = "tty >/dev/null && echo ready; read A; echo got $A; exit 5";
  const ran = await runAtTerminal(["run", "--rm", "-it", registry.image, "sh", "-c", script], {
    ...options,
    answers: [{ after: /ready/, type: "typed\r" }],
  });
  assert.equal(ran.status, 5, ran.screen);
  assert.match(ran.screen, /got typed/);
  const watched = await runAtTerminal(["top"], {
    ...options,
    answers: [{ after: /nothing is mounted/, type: "\u0003" }],
  });
  assert.equal(watched.status, 0, watched.screen);
  assert.equal(watched.screen.endsWith("\u001B[?1049l"), true, watched.screen);
});
