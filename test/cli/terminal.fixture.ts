/**
 * The command line at a terminal: what a person sees, and types when asked. Needs `script` of util-linux.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";

const ENTRY = resolve(import.meta.dirname, "../../bin/esgz.js");
const SCRIPT = "/usr/bin/script";

/** What is typed once something stands on the screen. */
export interface Answer {
  readonly after: RegExp;
  readonly type: string;
}

/** Whether there is a program that makes terminals. */
export const hasTerminal: boolean = existsSync(SCRIPT);

/** Runs `esgz ARGS` at a terminal; resolves with its exit status and all that stood on the screen. */
export async function runAtTerminal(
  args: readonly string[],
  options: {
    readonly directory: string;
    readonly answers?: readonly Answer[];
    readonly environment?: Readonly<Record<string, string>>;
  },
): Promise<{ readonly status: number | null; readonly screen: string }> {
  const words = [process.execPath, ENTRY, ...args].map((word) => `'${word}'`);
  // Without a shell between, which would end by Ctrl-C itself.
  const command = ["exec", ...words].join(" ");
  const child = spawn(SCRIPT, ["-qefc", command, "/dev/null"], {
    cwd: options.directory,
    stdio: ["pipe", "pipe", "inherit"],
    // A question that is never asked must not keep the test.
    timeout: 120_000,
    env: {
      PATH: process.env["PATH"],
      HOME: options.directory,
      TMPDIR: options.directory,
      TERM: "xterm",
      ...options.environment,
    },
  });
  const ended = new Promise<number | null>((done) => child.once("close", done));
  const answers = [...(options.answers ?? [])];
  let screen = "";
  let seen = 0;
  for await (const chunk of child.stdout) {
    screen += String(chunk);
    const found = answers[0]?.after.exec(screen.slice(seen));
    if (found === undefined || found === null) continue;
    seen += found.index + found[0].length;
    child.stdin.write(answers.shift()?.type ?? "");
  }
  child.stdin.end();
  return { status: await ended, screen };
}
