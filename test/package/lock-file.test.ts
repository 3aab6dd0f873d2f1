/**
 * The lock file is whole: `npm ci` refuses one that misses a package, be it for another platform.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";

interface LockedPackage {
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const LOCK_FILE = resolve(import.meta.dirname, "../../package-lock.json");

test("package-lock.json has an entry for each optional dependency, whatever its platform", () => {
  const { packages } = JSON.parse(readFileSync(LOCK_FILE, "utf8")) as {
    packages: Readonly<Record<string, LockedPackage>>;
  };
  const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) =>
        packages[`node_modules/${name}`] === undefined &&
        packages[`${path}/node_modules/${name}`] === undefined,
    ),
  );
  assert.deepEqual(missing, []);
});
