/**
 * `esgz run`, with what it needs in the store or not.
 *
 * @module
 */
import { esgzCommand, runEsgz } from "../esgz-command.ts";
import { factsOfDaemon, startEsgzDaemon } from "../esgz-daemon.ts";
import { type Contender, measureUntil } from "../measure/index.ts";
import { type Place, startContender } from "./start-contender.ts";

/** How an image is started. */
export interface EsgzStart {
  readonly tag: string;
  /** Pulls the image first, as part of what is measured or not. */
  readonly prepare?: "measured" | "before";
  /** What of it is pulled: all, or what a start reads first; default all. */
  readonly pulls?: "all" | "start";
  /** In place of the recipe's command: what ends by itself. */
  readonly command?: readonly string[];
}

/** Starts an image with `esgz run`. */
export function esgzContender(name: string, place: Place, options: EsgzStart): Contender {
  return startContender(name, place, async (scratch) => {
    const { store, process, client } = await startEsgzDaemon(scratch);
    const reference = `${place.name}:${options.tag}`;
    const part = options.pulls === "start" ? ["--start-only"] : [];
    const pull = (): void => runEsgz("pull", "-q", ...part, "--store", store, reference);
    // A network of its own, as containerd gives one.
    const flags = ["-q", "--rm", "--network", "none", "--store", store];
    const run = esgzCommand("run", ...flags, reference, ...(options.command ?? place.recipe.command));
    const ready = options.command === undefined ? place.recipe.ready : undefined;
    if (options.prepare === "before") {
      await place.harbor.setShaped(false);
      try {
        pull();
      } finally {
        await place.harbor.setShaped(true);
      }
    }
    return {
      daemons: [process],
      facts: () => factsOfDaemon(client),
      start: async (onReady) => {
        const started = performance.now();
        if (options.prepare === "measured") pull();
        const pulled = (performance.now() - started) / 1000;
        return pulled + (await measureUntil(run, { ready, onReady }));
      },
    };
  });
}
