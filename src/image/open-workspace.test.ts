import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "./layer.fixture.ts";
import { openWorkspace } from "./open-workspace.ts";

/** Above the largest number that Linux gives to a process. */
const DEAD = 4_194_305;
const HOUR_AGO = Date.now() / 1000 - 3600;

/** A directory with a file in it, both of them old. */
function leave(parent: string, name: string, fileTime = HOUR_AGO): void {
  const directory = join(parent, name);
  mkdirSync(directory);
  writeFileSync(join(directory, "1"), "half a layer");
  utimesSync(join(directory, "1"), fileTime, fileTime);
  utimesSync(directory, HOUR_AGO, HOUR_AGO);
}

test("openWorkspace() removes what a killed process left, and nothing else", async (t) => {
  const parent = await temporaryDirectory(t);
  leave(parent, `.esgz-${DEAD}-abcdef`);
  leave(parent, `.esgz-${DEAD}-active`, HOUR_AGO + 3590);
  leave(parent, `.esgz-${process.pid}-abcdef`);
  leave(parent, `.other-${DEAD}-abcdef`);
  leave(parent, ".esgz-partial");
  const workspace = await openWorkspace(parent, ".esgz-");
  assert.equal(existsSync(workspace), true);
  assert.deepEqual(
    readdirSync(parent)
      .filter((name) => join(parent, name) !== workspace)
      .toSorted(),
    [
      `.esgz-${DEAD}-active`,
      `.esgz-${process.pid}-abcdef`,
      ".esgz-partial",
      `.other-${DEAD}-abcdef`,
    ].toSorted(),
  );
});

test("openWorkspace() takes a prefix with letters that mean something elsewhere as it is", async (t) => {
  const parent = await temporaryDirectory(t);
  leave(parent, `.a+b.esgz-${DEAD}-abcdef`);
  const workspace = await openWorkspace(parent, ".a+b.esgz-");
  assert.deepEqual(readdirSync(parent), [workspace.slice(parent.length + 1)]);
});
