/**
 * The time from the start of a command to the moment at which it counts as started.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";

/** How to tell. */
export interface MeasureUntilOptions {
  /** A line with this text says that it is ready; when it ends well, if absent. */
  readonly ready?: string | undefined;
  readonly env?: Readonly<Record<string, string>>;
  /** Called at that moment, while the command still runs if it has not ended by itself. */
  readonly onReady?: () => Promise<void>;
  /** What else to do to have it end, once it was ready. */
  readonly stop?: () => Promise<void>;
}

const STOP_AFTER_MS = 10_000;
/** What is not ready by then never is. */
const GIVE_UP_MS = 900_000;

/** Seconds until ready. The command has ended when this resolves. */
export async function measureUntil(
  argv: readonly string[],
  options: MeasureUntilOptions = {},
): Promise<number> {
  const [file = "", ...args] = argv;
  const started = performance.now();
  const child = spawn(file, args, {
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<number | null>((resolve, reject) =>
    child.once("close", resolve).once("error", reject),
  );
  let said = "";
  const ready = new Promise<void>((resolve) => {
    const listen = (chunk: Buffer): void => {
      said += chunk.toString("utf8");
      if (options.ready !== undefined && said.includes(options.ready)) resolve();
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
  });
  const giveUp = setTimeout(() => child.kill("SIGKILL"), GIVE_UP_MS);
  const first = await Promise.race([ready.then(() => "ready" as const), ended]);
  const seconds = (performance.now() - started) / 1000;
  clearTimeout(giveUp);
  await options.onReady?.();
  if (first !== "ready") {
    if (first === 0 && options.ready === undefined) return seconds;
    throw new Error(`Cannot measure "${argv.join(" ")}": it ended with ${first}\n${said}`);
  }
  child.kill("SIGTERM");
  await options.stop?.();
  const patience = new AbortController();
  const late = delay(STOP_AFTER_MS, undefined, { signal: patience.signal }).then(
    () => child.kill("SIGKILL"),
    () => undefined,
  );
  await ended;
  patience.abort();
  await late;
  return seconds;
}
