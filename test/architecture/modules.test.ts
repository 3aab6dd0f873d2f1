/**
 * Executes the module table of ARCHITECTURE.md: imports point down, across modules through `index.ts` only, no cycles.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { test } from "node:test";

const ROOT = resolve(import.meta.dirname, "../..");
const SOURCES = join(ROOT, "src");
const ARCHITECTURE = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8");

/** Each row may import the rows below it; modules of one row do not import each other unless listed in WITHIN. */
const LAYERS = readRows();

/** The imports inside one row that the architecture allows. */
const WITHIN: Readonly<Record<string, readonly string[]>> = {
  cli: ["daemon"],
  image: ["registry", "files"],
  registry: ["files"],
  "registry-server": ["files"],
  store: ["files"],
  grpc: ["files"],
  runtime: ["files"],
  estargz: ["tar"],
  oci: ["errors"],
  blob: ["errors", "async"],
};

const FORBIDDEN_NAMES = /^(util|utils|common|helpers?|core|lib|misc|shared|types|managers?)(\.|$)/;

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

test("the folders of src are the modules of the table, and of the list below it", () => {
  const folders = moduleNames().toSorted();
  assert.deepEqual(LAYERS.flat().toSorted(), folders);
  const listed = [...ARCHITECTURE.matchAll(/^\| `([a-z-]+)` +\|/gm)].map(([, name]) => name ?? "");
  assert.deepEqual(listed.toSorted(), folders);
});

test("no file or folder has a name that says nothing", () => {
  assert.deepEqual(
    allPaths(SOURCES).filter((path) => path.split(sep).some((part) => FORBIDDEN_NAMES.test(part))),
    [],
  );
});

test("imports point down the table", () => {
  const wrong = crossImports().filter(({ from, to }) => !isAllowed(moduleOf(from), moduleOf(to)));
  assert.deepEqual(wrong.map(describe), []);
});

test("what modules of one row may import of each other, some do", () => {
  const pairs = Object.entries(WITHIN).flatMap(([from, list]) => list.map((to) => `${from} ${to}`));
  const found = new Set(crossImports().map(({ from, to }) => `${moduleOf(from)} ${moduleOf(to)}`));
  assert.deepEqual(
    pairs.filter((pair) => !found.has(pair)),
    [],
  );
});

test("modules import each other through index.ts only", () => {
  const wrong = crossImports().filter(({ to }) => to.split(sep).length !== 2 || !to.endsWith("index.ts"));
  assert.deepEqual(wrong.map(describe), []);
});

test("no file imports itself through others", () => {
  const graph = new Map<string, string[]>();
  for (const { from, to, typeOnly } of allImports()) {
    if (!typeOnly) graph.set(from, [...(graph.get(from) ?? []), to]);
  }
  assert.deepEqual(findCycle(graph), []);
});

test("the vocabulary has no node: imports", () => {
  const vocabulary = new Set(LAYERS.at(-1));
  const wrong = allPaths(SOURCES)
    .filter((path) => vocabulary.has(moduleOf(path)) && isProduct(path))
    .filter((path) => /from "node:|import\("node:/.test(readFileSync(join(SOURCES, path), "utf8")));
  assert.deepEqual(wrong, []);
});

test("codecs do no I/O beyond zlib and crypto", () => {
  const codecs = new Set(LAYERS.at(-2));
  // node:util promisifies what zlib offers as callbacks.
  const allowed = /^node:(zlib|crypto|util)$/;
  // The one place where a codec loads a native library of the machine.
  const native = join("estargz", "libdeflate.ts");
  const wrong = allPaths(SOURCES)
    .filter((path) => codecs.has(moduleOf(path)) && isProduct(path))
    .flatMap((path) =>
      [...readFileSync(join(SOURCES, path), "utf8").matchAll(/from "(node:[^"]+)"/g)]
        .filter(([, name]) => name !== undefined && !allowed.test(name))
        .filter(([, name]) => path !== native || name !== "node:module")
        .map(([, name]) => `${path}: ${name}`),
    );
  assert.deepEqual(wrong, []);
});

test("every module has an index and a README", () => {
  const wrong = moduleNames().filter(
    (name) => !exists(join(SOURCES, name, "index.ts")) || !exists(join(SOURCES, name, "README.md")),
  );
  // A host is started, not imported: it has no index.
  assert.deepEqual(
    wrong.filter((name) => name !== "cli" || !exists(join(SOURCES, name, "README.md"))),
    [],
  );
});

/** The table at the top of ARCHITECTURE.md: a row's name, its modules, what they are; rows without a name go on. */
function readRows(): readonly (readonly string[])[] {
  const [, table = ""] = /```\n([^`]*)```/.exec(ARCHITECTURE) ?? [];
  const rows: string[][] = [];
  for (const line of table.trimEnd().split("\n")) {
    const [, name = "", modules = ""] = /^(\w*) +((?:[a-z-]+ {0,2})+)/.exec(line) ?? [];
    const found = modules.split(" ").filter((word) => word !== "");
    if (name === "") rows.at(-1)?.push(...found);
    else rows.push(found);
  }
  return rows;
}

/** Whether a file is part of the package: no test, no fixture. */
function isProduct(path: string): boolean {
  return path.endsWith(".ts") && !/\.(test|fixture)\.ts$/.test(path);
}

function isAllowed(from: string, to: string): boolean {
  const rowOf = (name: string): number => LAYERS.findIndex((row) => row.includes(name));
  return rowOf(from) < rowOf(to) || (WITHIN[from] ?? []).includes(to);
}

function crossImports(): Import[] {
  return allImports().filter(({ from, to }) => moduleOf(from) !== moduleOf(to));
}

let cached: Import[] | undefined;
function allImports(): Import[] {
  cached ??= allPaths(SOURCES)
    .filter((path) => isProduct(path))
    .flatMap(importsOf);
  return cached;
}

function importsOf(path: string): Import[] {
  const text = readFileSync(join(SOURCES, path), "utf8");
  const statements = text.matchAll(
    /(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?"(\.[^"]+)"|import\("(\.[^"]+)"\)/g,
  );
  return [...statements].map(([, typeOnly, fixed, lazy]) => ({
    from: path,
    to: relative(SOURCES, resolve(SOURCES, dirname(path), fixed ?? lazy ?? "")),
    typeOnly: typeOnly !== undefined,
  }));
}

function findCycle(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const visit = (node: string, trail: readonly string[]): string[] => {
    if (trail.includes(node)) return [...trail.slice(trail.indexOf(node)), node];
    if (done.has(node)) return [];
    for (const next of graph.get(node) ?? []) {
      const cycle = visit(next, [...trail, node]);
      if (cycle.length > 0) return cycle;
    }
    done.add(node);
    return [];
  };
  for (const node of graph.keys()) {
    const cycle = visit(node, []);
    if (cycle.length > 0) return cycle;
  }
  return [];
}

function moduleNames(): string[] {
  return readdirSync(SOURCES).filter((name) => statSync(join(SOURCES, name)).isDirectory());
}

function allPaths(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: "utf8" });
}

function moduleOf(path: string): string {
  return path.split(sep)[0] ?? "";
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function describe({ from, to }: Import): string {
  return `${from} imports ${to}`;
}
