/**
 * Builds the images of `hello-recipes.ts` as real ones are built, layer upon layer, and puts them into the harbor's
 * registry: `hello/NAME` with the tags `gzip`, `esgz`, and `opt`, whose files are in the order of their first use.
 *
 * Needs root, mmdebstrap, overlayfs and strace. Layers are made once, in `bench/.cache/hello`.
 *
 * @module
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runEsgz } from "../esgz-command.ts";
import type { Harbor } from "../harbor/index.ts";
import { BASE, HELLO_RECIPES, type HelloRecipe, type LayerRecipe } from "./hello-recipes.ts";
import { writeTarLayout } from "./write-tar-layout.ts";

/** An image in the registry. */
export interface HelloImage {
  readonly recipe: HelloRecipe;
  readonly repository: string;
  /** Bytes of its layers, uncompressed. */
  readonly size: number;
}

interface Workshop {
  readonly cache: string;
  readonly say: (text: string) => void;
}

/** Finds a recipe. */
export function helloRecipe(name: string): HelloRecipe {
  const found = HELLO_RECIPES.find((recipe) => recipe.name === name);
  if (found !== undefined) return found;
  const known = HELLO_RECIPES.map((recipe) => recipe.name).join(", ");
  throw new RangeError(`Cannot find image "${name}": expected one of ${known}`);
}

/** Makes sure that the registry has the image with its three tags. */
export async function ensureHelloImage(
  recipe: HelloRecipe,
  options: Workshop & { readonly harbor: Harbor },
): Promise<HelloImage> {
  const cache = join(options.cache, "hello");
  mkdirSync(join(cache, "layers"), { recursive: true });
  const workshop = { cache, say: options.say };
  const layout = join(cache, "layouts", recipe.name);
  if (!existsSync(join(layout, "index.json"))) await makeLayout(recipe, layout, workshop);
  const repository = `hello/${recipe.name}`;
  const target = `${options.harbor.direct}/${repository}`;
  push(recipe, { layout, target: `${target}:gzip`, flags: ["--format", "gzip"], workshop });
  push(recipe, { layout, target: `${target}:esgz`, flags: [], workshop });
  push(recipe, {
    layout,
    target: `${target}:opt`,
    flags: ["--prioritize", ensureAccessList(recipe, workshop)],
    workshop,
  });
  return { recipe, repository, size: layoutSize(recipe, workshop) };
}

function push(
  { name }: HelloRecipe,
  options: {
    readonly layout: string;
    readonly target: string;
    readonly flags: readonly string[];
    readonly workshop: Workshop;
  },
): void {
  const tag = options.target.slice(options.target.lastIndexOf(":") + 1);
  const done = join(options.workshop.cache, `pushed-${name}-${tag}`);
  if (existsSync(done)) return;
  options.workshop.say(`pushing ${name}:${tag}`);
  runEsgz("convert", `oci:${options.layout}:plain`, options.target, ...options.flags, "-q");
  writeFileSync(done, "");
}

/** Directory of what a layer adds, and its tar. */
function layerPaths(layer: LayerRecipe, below: readonly LayerRecipe[], { cache }: Workshop) {
  const chain = [...below, layer].map(({ name, script, outside }) => [name, script, outside]);
  // What lies outside the tree does not depend on what is below.
  const identity = layer.script === undefined ? [layer.name, layer.outside] : chain;
  const key = createHash("sha256").update(JSON.stringify(identity)).digest("hex").slice(0, 12);
  const directory = join(cache, "layers", `${layer.name}-${key}`);
  return { directory, tar: `${directory}.tar` };
}

function ensureLayer(layer: LayerRecipe, below: readonly LayerRecipe[], workshop: Workshop): string {
  const { directory, tar } = layerPaths(layer, below, workshop);
  if (existsSync(tar)) return tar;
  workshop.say(`building layer ${layer.name}`);
  for (const old of [directory, `${directory}.work`, `${directory}.named`])
    rmSync(old, { recursive: true, force: true });
  mkdirSync(directory);
  if (layer === BASE) {
    execFileSync("mmdebstrap", [
      "-q",
      "--variant=minbase",
      "--include=ca-certificates",
      "bookworm",
      directory,
    ]);
    writeFileSync(join(directory, "usr/sbin/policy-rc.d"), "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  } else if (layer.script === undefined) {
    execFileSync("sh", ["-ec", layer.outside ?? ""], {
      cwd: directory,
      stdio: ["ignore", "inherit", "inherit"],
    });
  } else {
    const lower = below.map((each, at) => layerPaths(each, below.slice(0, at), workshop).directory);
    runInTree(layer.script, { lower, upper: directory });
  }
  // The directory keeps overlay's whiteouts: it is a lower layer of those above.
  const named = `${directory}.named`;
  execFileSync("cp", ["-al", directory, named]);
  nameWhiteouts(named);
  const flags = ["--sort=name", "--numeric-owner", "--format=pax", "--xattrs", "--xattrs-include=*"];
  execFileSync("tar", ["-C", named, ...flags, "-cf", `${tar}.partial`, "."]);
  rmSync(named, { recursive: true });
  renameSync(`${tar}.partial`, tar);
  return tar;
}

/** Runs a script in the root that the layers make; what it changes lands in `upper`. */
function runInTree(script: string, { lower, upper }: { lower: readonly string[]; upper: string }): void {
  const merged = `${upper}.merged`;
  const work = `${upper}.work`;
  for (const directory of [merged, work]) mkdirSync(directory, { recursive: true });
  const outer = `
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"
    mount --bind /dev "$4/dev"; mount -t proc proc "$4/proc"
    for f in resolv.conf hosts; do touch "$4/etc/$f"; mount --bind "/etc/$f" "$4/etc/$f"; done
    DEBIAN_FRONTEND=noninteractive exec chroot "$4" sh -ec "$5"`;
  const argv = ["-m", "--propagation", "private", "sh", "-ec", outer, "sh"];
  execFileSync("unshare", [...argv, lower.toReversed().join(":"), upper, work, merged, script], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  for (const directory of [merged, work]) rmSync(directory, { recursive: true, force: true });
}

/** Overlay's whiteouts become those of tar layers. */
function nameWhiteouts(directory: string): void {
  const found = execFileSync("find", [directory, "-type", "c", "-printf", "%p\\n"], { encoding: "utf8" });
  for (const path of found.split("\n").filter((line) => line !== "")) {
    const { rdev } = statSync(path);
    if (rdev !== 0) continue;
    rmSync(path);
    const slash = path.lastIndexOf("/");
    writeFileSync(`${path.slice(0, slash)}/.wh.${path.slice(slash + 1)}`, "");
  }
}

async function makeLayout(recipe: HelloRecipe, layout: string, workshop: Workshop): Promise<void> {
  const tars = recipe.layers.map((layer, at) => ensureLayer(layer, recipe.layers.slice(0, at), workshop));
  const config = {
    Cmd: recipe.command,
    Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
  };
  await writeTarLayout(layout, { tars, config });
}

function layoutSize(recipe: HelloRecipe, workshop: Workshop): number {
  return recipe.layers
    .map((layer, at) => statSync(layerPaths(layer, recipe.layers.slice(0, at), workshop).tar).size)
    .reduce((sum, size) => sum + size, 0);
}

/** What a call has opened, with links resolved. */
const OPENED = /= \d+<(\/[^>]+)>$/;

/** The files that the command opens, in the order of their first use: a file for `--prioritize`. */
function ensureAccessList(recipe: HelloRecipe, workshop: Workshop): string {
  const list = join(workshop.cache, `accessed-${recipe.name}.txt`);
  if (existsSync(list)) return list;
  workshop.say(`recording what ${recipe.name} opens`);
  const scratch = join(workshop.cache, `trace-${recipe.name}`);
  const [upper, work, merged] = ["upper", "work", "merged"].map((name) => join(scratch, name));
  for (const directory of [upper, work, merged]) mkdirSync(directory ?? "", { recursive: true });
  const lower = recipe.layers.map(
    (each, at) => layerPaths(each, recipe.layers.slice(0, at), workshop).directory,
  );
  const log = join(scratch, "strace.log");
  const outer = `
    cd "$1"; shift
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"
    mount --bind /dev "$4/dev"; mount -t proc proc "$4/proc"; ip link set lo up 2>/dev/null || true
    log="$5"; root="$4"; shift 5
    timeout -s KILL 30 strace -f -qq -y -e trace=execve,open,openat -o "$log" chroot "$root" "$@" || true
    # The kernel opens programs and their loader itself; an image names them through links.
    { echo /lib64/ld-linux-x86-64.so.2; sed -n 's/.*execve("\\([^"]*\\)".*/\\1/p' "$log"; } |
      while read -r path; do chroot "$root" readlink -f "$path" || true; done >"$log.programs"`;
  const relative = lower.toReversed().map((path) => path.slice(join(workshop.cache, "layers/").length));
  const argv = [
    "-m",
    "-n",
    "-p",
    "-f",
    "--kill-child",
    "--propagation",
    "private",
    "sh",
    "-ec",
    outer,
    "sh",
    join(workshop.cache, "layers"),
  ];
  // What does not end by itself has long been ready by then.
  const command = recipe.ready === undefined ? recipe.command : ["timeout", "8", ...recipe.command];
  spawnSync("unshare", [...argv, relative.join(":"), upper ?? "", work ?? "", merged ?? "", log, ...command]);
  const opened = readFileSync(log, "utf8")
    .split("\n")
    .map((line) => OPENED.exec(line)?.[1]?.replace(merged ?? "", ""));
  const programs = readFileSync(`${log}.programs`, "utf8").split("\n");
  const files = [...programs, ...opened].filter(
    (path) => path?.startsWith("/") === true && !/^\/(proc|dev|sys|tmp)\//.test(path),
  );
  writeFileSync(list, `${[...new Set(files)].join("\n")}\n`);
  rmSync(scratch, { recursive: true, force: true });
  return list;
}
