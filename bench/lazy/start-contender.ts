/**
 * One start of an image: what is counted, and from when until when.
 *
 * @module
 */
import { setTimeout } from "node:timers/promises";
import type { ChildProcess } from "node:child_process";
import type { Harbor } from "../harbor/index.ts";
import type { HelloRecipe } from "../inputs/hello-recipes.ts";
import type { Contender } from "../measure/index.ts";
import { peakOfTree } from "../process-memory.ts";
import { dropCaches, type Scratch, withScratch } from "../scratch.ts";

/** Where an image is. */
export interface Place {
  readonly harbor: Harbor;
  /** Host, port and repository, behind the link. */
  readonly name: string;
  readonly recipe: HelloRecipe;
}

/** What is measured in one run. */
export interface StartRun {
  /** Starts the image; seconds until it is ready. Must await `onReady` at that moment, before it ends anything. */
  readonly start: (onReady: () => Promise<void>) => Promise<number>;
  /** What serves it, whose memory counts, each with what is below it. */
  readonly daemons: readonly ChildProcess[];
  /** What else is worth telling at the moment at which the image is ready. */
  readonly facts?: () => Promise<Readonly<Record<string, number>>>;
}

/** After this time a daemon that was started has nothing to do. */
const SETTLE_MS = 5000;

/** A contender whose runs begin with cold page caches, and daemons at rest. `begin` is not measured. */
export function startContender(
  name: string,
  { harbor }: Place,
  begin: (scratch: Scratch) => Promise<StartRun>,
): Contender {
  return {
    name,
    run: () =>
      withScratch(async (scratch) => {
        const { start, daemons, facts } = await begin(scratch);
        // On a node they have been there for long.
        if (daemons.length > 0) await setTimeout(SETTLE_MS);
        dropCaches();
        await harbor.takeStatistics();
        let told: Readonly<Record<string, number>> = {};
        const wallSeconds = await start(async () => {
          const { bytesDown, requests } = await harbor.takeStatistics();
          told = { MB: Math.round(bytesDown / 1e5) / 10, requests, ...(await facts?.()) };
        });
        const peakBytes = daemons.reduce((sum, { pid }) => sum + peakOfTree(pid ?? 0), 0);
        return { wallSeconds, cpuSeconds: Number.NaN, peakBytes, facts: told };
      }),
  };
}
