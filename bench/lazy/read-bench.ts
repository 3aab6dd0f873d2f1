/**
 * `npm run bench -- lazy-read`: all of an image, read while it is not there yet, against the full pull.
 *
 * @module
 */
import { join } from "node:path";
import { mkdirSync } from "node:fs";
import type { BenchContext } from "../bench-context.ts";
import { esgzCommand } from "../esgz-command.ts";
import { factsOfDaemon, startEsgzDaemon } from "../esgz-daemon.ts";
import { ensureHelloImage, helloRecipe } from "../inputs/hello-images.ts";
import { compare, type Comparison, type Contender, measureUntil } from "../measure/index.ts";
import type { LazyBenchOptions } from "./start-bench.ts";
import { type Place, startContender } from "./start-contender.ts";

/** Measures one image over one link. The first contender is the full pull, which the others are compared with. */
export async function benchRead(
  context: BenchContext,
  { harbor, profile, image }: LazyBenchOptions,
): Promise<Comparison> {
  const recipe = helloRecipe(image);
  const { repository, size } = await ensureHelloImage(recipe, { ...context, harbor });
  const host = await harbor.openLink(profile);
  const place = { harbor, recipe, name: `${host}/${repository}` };
  const title = `read all of ${image} (${Math.round(size / 1e6)} MB), ${profile.name} (${profile.rttMs} ms)`;
  const contenders = [
    readContender("esgz pull", place, { pull: true, read: false }),
    readContender("esgz mount, tar c", place, { pull: false, read: true }),
    readContender("esgz mount --no-background, tar c", place, {
      pull: false,
      read: true,
      flags: ["--no-background"],
    }),
    readContender("esgz pull, mount, tar c", place, { pull: true, read: true }),
    wireContender(place, { host, repository }),
  ];
  return { title, standings: await compare(contenders, context.compareOptions(title)) };
}

function readContender(
  name: string,
  place: Place,
  options: { readonly pull: boolean; readonly read: boolean; readonly flags?: readonly string[] },
): Contender {
  return startContender(name, place, async (scratch) => {
    const { store, process, client } = await startEsgzDaemon(scratch);
    const directory = join(scratch.directory, "mount");
    mkdirSync(directory);
    if (options.read) scratch.defer(() => client.unmount(directory).catch(() => undefined));
    const reference = `${place.name}:esgz`;
    const { flags = [] } = options;
    const steps = [
      ...(options.pull ? [esgzCommand("pull", "-q", "--store", store, reference)] : []),
      ...(options.read ? [esgzCommand("mount", "-q", ...flags, "--store", store, reference, directory)] : []),
      // GNU tar reads nothing for /dev/null.
      ...(options.read ? [["sh", "-ec", 'tar -C "$1" -c . | wc -c', "sh", directory]] : []),
    ];
    return {
      daemons: [process],
      facts: () => factsOfDaemon(client),
      start: async (onReady) => {
        let seconds = 0;
        for (const [at, step] of steps.entries())
          seconds += await measureUntil(step, at === steps.length - 1 ? { onReady } : {});
        return seconds;
      },
    };
  });
}

function wireContender(
  place: Place,
  { host, repository }: { readonly host: string; readonly repository: string },
): Contender {
  const program = new URL("../wire-process.ts", import.meta.url).pathname;
  return startContender("the bytes alone, four connections", place, async () => ({
    daemons: [],
    start: (onReady) => measureUntil([process.execPath, program, host, repository, "esgz"], { onReady }),
  }));
}
