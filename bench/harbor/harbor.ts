/**
 * A registry behind shaped links, in a process of its own, so that it does not share the event loop of what is measured.
 *
 * @module
 */
import { type ChildProcess, fork } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { LinkProfile, LinkStatistics } from "../link/index.ts";

/** What went through a harbor. */
export interface HarborStatistics extends LinkStatistics {
  readonly requests: number;
}

/** A request that the registry answered with content. */
export interface HarborRequestRecord {
  /** Path and query. */
  readonly url: string;
  /** The `Range` header, where there was one. */
  readonly range?: string;
}

/** A running registry with links to it. */
export interface Harbor extends AsyncDisposable {
  /** Host and port of the registry without a link: for pushing. */
  readonly direct: string;
  /** Opens a link; its host and port. */
  openLink(profile: LinkProfile): Promise<string>;
  /** Whether links delay and bound what passes them; at first, they do. Preparations need not wait for a slow link. */
  setShaped(shaped: boolean): Promise<void>;
  /** What the registry answered and the links carried since the last call. */
  takeStatistics(): Promise<HarborStatistics>;
  /** What was got from the registry since the last call, in the order in which the answers ended. */
  takeRequests(): Promise<readonly HarborRequestRecord[]>;
}

/** What is asked of the harbor's process. */
export type HarborRequest =
  | { readonly kind: "link"; readonly profile: LinkProfile }
  | { readonly kind: "shape"; readonly shaped: boolean }
  | { readonly kind: "statistics" }
  | { readonly kind: "requests" }
  | { readonly kind: "close" };

/** What it answers. */
export type HarborAnswer =
  | { readonly kind: "port"; readonly port: number }
  /** Another harbor has the registry. */
  | { readonly kind: "taken" }
  | { readonly kind: "done" }
  | { readonly kind: "requests"; readonly requests: readonly HarborRequestRecord[] }
  | { readonly kind: "statistics"; readonly statistics: HarborStatistics };

const RETRY_MS = 10_000;

/**
 * Starts a harbor whose registry keeps its content below `root`. While another one has it, waits.
 *
 * @param options.say is told, once, that it waits.
 */
export async function startHarbor(
  root: string,
  options: { readonly say?: (text: string) => void } = {},
): Promise<Harbor> {
  for (let tries = 0; ; tries += 1) {
    const child = fork(fileURLToPath(new URL("harbor-process.ts", import.meta.url)), [root]);
    const first = await answerOf(child);
    if (first.kind === "port") return harborOf(child, first.port);
    if (first.kind !== "taken") throw new Error("Cannot start harbor: expected a port");
    if (tries === 0) options.say?.("waiting: another benchmark has the registry");
    await delay(RETRY_MS);
  }
}

function harborOf(child: ChildProcess, port: number): Harbor {
  let turn: Promise<unknown> = Promise.resolve();
  const ask = (request: HarborRequest): Promise<HarborAnswer> => {
    const answer = turn.then(() => {
      const reply = answerOf(child);
      child.send(request);
      return reply;
    });
    turn = answer.catch(() => undefined);
    return answer;
  };
  return {
    direct: `127.0.0.1:${port}`,
    openLink: async (profile) => {
      const answer = await ask({ kind: "link", profile });
      if (answer.kind !== "port") throw new Error("Cannot open link: expected a port");
      return `127.0.0.1:${answer.port}`;
    },
    setShaped: async (shaped) => {
      await ask({ kind: "shape", shaped });
    },
    takeStatistics: async () => {
      const answer = await ask({ kind: "statistics" });
      if (answer.kind !== "statistics") throw new Error("Cannot count: expected statistics");
      return answer.statistics;
    },
    takeRequests: async () => {
      const answer = await ask({ kind: "requests" });
      if (answer.kind !== "requests") throw new Error("Cannot list: expected requests");
      return answer.requests;
    },
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null) return;
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.send({ kind: "close" } satisfies HarborRequest);
      await gone;
    },
  };
}

function answerOf(child: ChildProcess): Promise<HarborAnswer> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void =>
      reject(new Error(`Cannot reach harbor: it ended with ${code}`));
    child.once("exit", onExit);
    child.once("message", (message) => {
      child.off("exit", onExit);
      resolve(message as HarborAnswer);
    });
  });
}
