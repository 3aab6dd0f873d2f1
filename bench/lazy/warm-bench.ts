/**
 * `npm run bench -- lazy-warm`: work in an image whose bytes are all here, against the same tree on the disk's own
 * filesystem.
 *
 * Three places: a tree that umoci unpacked; a mount made after a pull, which needs neither FUSE nor the daemon; and a mount
 * that was there before its bytes and has all of them now. Each work is measured with warm page caches and with cold ones.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { BenchContext } from "../bench-context.ts";
import { runEsgz } from "../esgz-command.ts";
import { startEsgzDaemon } from "../esgz-daemon.ts";
import { findCommand } from "../find-command.ts";
import type { Harbor } from "../harbor/index.ts";
import { ensureHelloImage, helloRecipe } from "../inputs/hello-images.ts";
import type { WarmWork } from "../inputs/hello-recipes.ts";
import { linkProfile } from "../link/index.ts";
import { compare, type Comparison, type Contender, measureCommand } from "../measure/index.ts";
import { dropCaches, type Scratch, withScratch } from "../scratch.ts";

interface Tree {
  readonly name: string;
  readonly directory: string;
}

/** What can be done in any image: everything is looked at, everything is read. */
const EVERYWHERE: readonly WarmWork[] = [
  { name: "find -ls", script: 'find "$1" -ls | wc -l' },
  // GNU tar reads nothing for /dev/null.
  { name: "tar c", script: 'tar -C "$1" -c . | wc -c' },
];

/** Measures one image: one comparison for each work and each state of the page cache. */
export async function benchWarm(
  context: BenchContext,
  { image, harbor }: { readonly image: string; readonly harbor: Harbor },
): Promise<Comparison[]> {
  if (findCommand("umoci") === undefined) throw new Error("Cannot measure: umoci is not installed");
  const recipe = helloRecipe(image);
  const { repository } = await ensureHelloImage(recipe, { ...context, harbor });
  const reference = `${await harbor.openLink(linkProfile("loop"))}/${repository}:esgz`;
  const inside = (recipe.warm ?? []).map(({ name, script }) => ({ name, script: insideTree(script) }));
  return await withScratch(async (scratch) => {
    const trees = [
      ensureLocalTree(image, context),
      await pulledTree(scratch, reference),
      await filledTree(scratch, reference),
    ];
    const comparisons: Comparison[] = [];
    for (const work of [...EVERYWHERE, ...inside]) {
      for (const cache of ["warm", "cold"] as const) {
        const title = `${work.name} in ${image}, all here, ${cache} page cache`;
        const contenders = trees.map((tree) => workContender(tree, work, cache));
        comparisons.push({ title, standings: await compare(contenders, context.compareOptions(title)) });
      }
    }
    return comparisons;
  });
}

function workContender({ name, directory }: Tree, { script }: WarmWork, cache: "warm" | "cold"): Contender {
  const argv = ["sh", "-ec", script, "sh", directory];
  return {
    name,
    run: async () => {
      if (cache === "cold") dropCaches();
      else await measureCommand(argv);
      return await measureCommand(argv);
    },
  };
}

/** The script in the tree as its root, in which only /tmp can be written: nothing is left behind for the next run. */
function insideTree(script: string): string {
  return `unshare -m --propagation private sh -ec '
    mount --bind "$1" "$1" && cd "$1" && mount -o remount,bind,ro "$1"
    mount -t tmpfs tmpfs "$1/tmp"; mount --bind /dev "$1/dev"; mount -t proc proc "$1/proc"
    PYTHONDONTWRITEBYTECODE=1 exec chroot "$1" sh -ec "$2"' sh "$1" '${script.replaceAll("'", `'\\''`)}'`;
}

async function pulledTree(scratch: Scratch, reference: string): Promise<Tree> {
  const { store, client } = await startEsgzDaemon(scratch, "pulled");
  runEsgz("pull", "-q", "--store", store, reference);
  const directory = join(scratch.directory, "after-pull");
  mkdirSync(directory);
  const { method } = await client.mount({ reference, directory });
  scratch.defer(() => client.unmount(directory));
  return { name: `esgz mount after pull (${method})`, directory };
}

async function filledTree(scratch: Scratch, reference: string): Promise<Tree> {
  const { store, client } = await startEsgzDaemon(scratch, "filled");
  const directory = join(scratch.directory, "filled-lazily");
  mkdirSync(directory);
  const { method } = await client.mount({ reference, directory, background: false });
  scratch.defer(() => client.unmount(directory));
  execFileSync("sh", ["-ec", 'tar -C "$1" -c . | wc -c', "sh", directory]);
  // Whatever no file of the merged image shows.
  runEsgz("pull", "-q", "--store", store, reference);
  return { name: `esgz mount, filled since (${method})`, directory };
}

/** The image as umoci unpacks it; kept, because filesystems are slow for minutes after much was removed. */
function ensureLocalTree(image: string, { cache, say }: BenchContext): Tree {
  const trees = join(cache, "hello/trees");
  const bundle = join(trees, image);
  if (!existsSync(bundle)) {
    say(`unpacking ${image}`);
    mkdirSync(trees, { recursive: true });
    rmSync(`${bundle}.partial`, { recursive: true, force: true });
    const layout = `${join(cache, "hello/layouts", image)}:plain`;
    execFileSync("umoci", ["unpack", "--image", layout, `${bundle}.partial`], { stdio: "ignore" });
    renameSync(`${bundle}.partial`, bundle);
  }
  const directory = join(bundle, "rootfs");
  const type = execFileSync("df", ["--output=fstype", directory], { encoding: "utf8" }).split("\n")[1];
  return { name: `unpacked by umoci (${type})`, directory };
}
