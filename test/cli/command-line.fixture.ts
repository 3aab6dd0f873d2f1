/**
 * The command line as a test uses it: the real program in a process of its own, in a home of its own.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { endChild } from "../kernel/end-child.ts";

const CHECKED_OUT = resolve(import.meta.dirname, "../../bin/esgz.js");

/** How a command ended. */
export interface CommandResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run a command. */
export interface RunOptions {
  /** What it reads from standard input. */
  readonly input?: string;
  /** Variables that differ. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** What to run, if it is not the program of this checkout with this Node. */
export interface Program {
  readonly entry?: string | undefined;
  readonly node?: string | undefined;
}

/** A directory and a home in which commands run. */
export class CommandLine implements AsyncDisposable {
  readonly directory: string = mkdtempSync(join(tmpdir(), "esgz-cli-"));
  readonly #children: ChildProcess[] = [];
  readonly #entry: string;
  readonly #node: string;

  constructor({ entry = CHECKED_OUT, node = process.execPath }: Program = {}) {
    this.#entry = entry;
    this.#node = node;
  }

  /** Runs `esgz ARGS` to its end. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
    const child = this.#spawn(args, options.environment);
    child.stdin?.end(options.input ?? "");
    const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
    const status = await new Promise<number | null>((ended) => child.once("close", ended));
    return { status, stdout: await stdout, stderr: await stderr };
  }

  /** Starts `esgz ARGS` and resolves with its first line of output; it is ended with the command line. */
  async start(
    args: readonly string[],
    options: Pick<RunOptions, "environment"> = {},
  ): Promise<{ readonly line: string; readonly child: ChildProcess }> {
    const child = this.begin(args, options);
    let text = "";
    for await (const chunk of child.stdout ?? []) {
      text += String(chunk);
      if (text.includes("\n")) break;
    }
    return { line: text.trimEnd(), child };
  }

  /** Starts `esgz ARGS` and reads nothing of it; it is ended with the command line. */
  begin(args: readonly string[], { environment }: Pick<RunOptions, "environment"> = {}): ChildProcess {
    const child = this.#spawn(args, environment);
    this.#children.push(child);
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) await endChild(child);
    rmSync(this.directory, { recursive: true, force: true });
  }

  #spawn(args: readonly string[], environment: RunOptions["environment"] = {}): ChildProcess {
    return spawn(this.#node, [this.#entry, ...args], {
      cwd: this.directory,
      stdio: ["pipe", "pipe", "pipe"],
      env: {
        PATH: process.env["PATH"],
        HOME: this.directory,
        TMPDIR: this.directory,
        CI: "true",
        ...environment,
      },
    });
  }
}

async function collect(stream: AsyncIterable<unknown> | null): Promise<string> {
  let text = "";
  for await (const chunk of stream ?? []) text += String(chunk);
  return text;
}
