/**
 * Bundles the programs of the package into a directory, `dist/bundle` if none is named: `node tooling/bundle.ts [DIRECTORY]`.
 *
 * The directory is flat, and two below that of the package: a program is looked for beside the module that starts it, and
 * `package.json` two above. What starts alone becomes one file; the command line loads more when a command needs it.
 */
import { globSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { build, type Plugin } from "esbuild";

const ROOT = resolve(import.meta.dirname, "..");
const COMMAND_LINE = "src/cli/main.ts";
/** Loaded before it, and alone. */
const ANNOUNCEMENT = "src/cli/announce.ts";
/** Loads a filesystem, with which it shares classes. */
const FILESYSTEM_HOST = "src/fuse/device-worker.ts";
/** Has a native part, which is found through its own package. */
const EXTERNAL = ["koffi"];
/**
 * Modules of node whose import makes what few programs need: all exports are read, also those that load more. With
 * node:http comes a whole HTTP client of node's own, 40 ms and 10 MiB; node:process opens standard input.
 */
const LAZY_BUILTINS = new Set(["node:http", "node:process"]);
const REEXPORT = /^export (?:\*|\{([^}]*)\}) from "(\.[^"]*)";$/gm;
const LICENSE_FILES = /^(licen[cs]e|copying|notice)/i;

const directory = resolve(process.argv[2] ?? join(ROOT, "dist/bundle"));
rmSync(directory, { recursive: true, force: true });
const inputs = new Set<string>();
for (const programs of programGroups()) for (const path of await bundle(programs)) inputs.add(path);
writeFileSync(join(directory, "THIRD-PARTY-LICENSES.txt"), licensesOf(inputs));

/** Every program, with those that have to be bundled with it. */
function programGroups(): string[][] {
  const find = (ending: string): string[] => globSync(`src/**/*-${ending}.ts`, { cwd: ROOT }).toSorted();
  const alone = [COMMAND_LINE, ANNOUNCEMENT, ...find("program"), ...find("worker")].filter(
    (path) => path !== FILESYSTEM_HOST,
  );
  const groups = [...alone.map((path) => [path]), [FILESYSTEM_HOST, ...find("filesystem")]];
  const names = groups.flat().map((path) => basename(path));
  if (new Set(names).size !== names.length)
    throw new Error(`Cannot bundle: two programs have one name in ${names.join(" ")}`);
  return groups;
}

/** The paths of what the bundle is made of. */
async function bundle(entryPoints: readonly string[]): Promise<string[]> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [...entryPoints],
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node22.19",
    outdir: directory,
    entryNames: "[name]",
    chunkNames: "chunk-[hash]",
    external: EXTERNAL,
    plugins: [builtins(), directImports(), lazyPackages()],
    // Names stay, for stack traces.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: "none",
    logLevel: "warning",
    metafile: true,
  });
  return Object.keys(metafile.inputs);
}

/** What is required of node, and what is lazy, is taken from node without its module for imports. */
function builtins(): Plugin {
  const namespace = "builtin";
  return {
    name: namespace,
    setup(builder) {
      builder.onResolve({ filter: /^[a-z]/ }, ({ path, kind }) => {
        const name = `node:${path.replace(/^node:/, "")}`;
        const isTaken = kind === "require-call" || LAZY_BUILTINS.has(name);
        return isTaken && isBuiltin(name) ? { path: name, namespace } : undefined;
      });
      builder.onLoad({ filter: /^/, namespace }, ({ path }) => ({
        contents: `module.exports = process.getBuiltinModule("${path}");`,
      }));
    },
  };
}

/**
 * Imports what a module needs of another from the file that has it, past `index.ts`. Else, wherever a module is imported
 * whole when it is needed, who imports one name of it at the start would get all of it at the start.
 */
function directImports(): Plugin {
  return {
    name: "direct",
    setup(builder) {
      builder.onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => ({
        contents: readFileSync(path, "utf8").replaceAll(
          /^import \{([^}]*)\} from "([^"]*\/index\.ts)";$/gm,
          (_, names: string, index: string) => importsOf(names, join(dirname(path), index)),
        ),
        loader: "ts",
      }));
    },
  };
}

function importsOf(names: string, index: string): string {
  const values = names.split(",").map((name) => name.trim());
  return values
    .filter((name) => name !== "" && !name.startsWith("type "))
    .map((name) => `import { ${name} } from "${fileOf(name.replace(/ as .*/, ""), index)}";`)
    .join(" ");
}

/** The file beside an `index.ts` that has what it re-exports under this name. */
function fileOf(name: string, index: string): string {
  const declaration = new RegExp(`^export (async )?(abstract )?(function\\*?|class|const) ${name}\\b`, "m");
  for (const [, names, path = ""] of readFileSync(index, "utf8").matchAll(REEXPORT)) {
    const file = join(dirname(index), path);
    const isHere =
      names === undefined
        ? declaration.test(readFileSync(file, "utf8"))
        : names.split(",").some((word) => word.trim() === name);
    if (isHere) return file;
  }
  return index;
}

/** The names of a package that is no ES module, as node finds them; the bundler has only its default export. */
function lazyPackages(): Plugin {
  const namespace = "package";
  return {
    name: namespace,
    setup(builder) {
      builder.onResolve({ filter: /^[a-z@]/ }, ({ path, kind }) =>
        kind === "dynamic-import" && !isBuiltin(path) ? { path, namespace } : undefined,
      );
      builder.onLoad({ filter: /^/, namespace }, async ({ path }) => {
        const names = Object.keys((await import(path)) as object).filter((name) => /^\w+$/.test(name));
        const named = names.filter((name) => name !== "default").join(", ");
        return {
          contents: `import * as all from "${path}"; export const { ${named} } = all;`,
          resolveDir: ROOT,
        };
      });
    },
  };
}

/** The licenses of the packages that are in the bundle, as they ask for. */
function licensesOf(paths: Iterable<string>): string {
  const packages = new Set(
    [...paths].flatMap((path) => /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []),
  );
  return [...packages].toSorted().map(licenseOf).join("\n");
}

function licenseOf(path: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(ROOT, path, "package.json"), "utf8")) as {
    readonly name: string;
    readonly version: string;
    readonly license: string;
  };
  const files = readdirSync(join(ROOT, path)).filter((file) => LICENSE_FILES.test(file));
  const texts = files.map((file) => readFileSync(join(ROOT, path, file), "utf8").trim());
  return [`${name} ${version} (${license})`, ...texts, ""].join("\n\n");
}
