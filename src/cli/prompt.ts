/**
 * Questions to a person at a terminal.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { Environment } from "./environment.ts";

/** How a question is asked. */
export interface PromptOptions {
  /** Whether the answer stays off the screen. */
  readonly hidden: boolean;
}

const MAX_ANSWER = 64 << 10;
const ENTER = /[\r\n]/;
const INTERRUPT = "\u0003";
const END_OF_INPUT = "\u0004";
const ERASE_LINE = "\u0015";
const ERASES: readonly string[] = ["\u007F", "\b"];

/** Whether there is somebody to ask. */
export function canPrompt({ stdin, stderr }: Environment): boolean {
  return stdin.isTTY === true && stderr.isTTY === true;
}

/**
 * Asks on stderr and returns the line that is typed.
 *
 * @throws {EsgzError} `ABORTED` for Ctrl-C or an aborted signal; `USAGE_INVALID` for an answer without end
 */
export async function prompt(
  environment: Environment,
  question: string,
  options: PromptOptions,
): Promise<string> {
  const { stdin, stderr } = environment;
  // The terminal's own line editing echoes; without it, erasing is done here. Before the question: some type fast.
  stdin.setRawMode(options.hidden);
  try {
    stderr.write(question);
    return await readLine(environment);
  } finally {
    stdin.setRawMode(false);
    if (options.hidden) stderr.write("\n");
  }
}

async function readLine({ stdin, signal }: Environment): Promise<string> {
  stdin.setEncoding("utf8");
  let line = "";
  const waiting = new AbortController();
  try {
    return await new Promise<string>((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error), { signal: waiting.signal });
      if (signal.aborted) reject(signal.reason as Error);
      const end = (): void => resolve(line);
      const take = (text: string): void => {
        const taken = edit(line, text);
        if (taken.interrupted) reject(new EsgzError("ABORTED", "Cannot finish: interrupted at a question"));
        else if (taken.line.length > MAX_ANSWER)
          reject(new EsgzError("USAGE_INVALID", "Cannot read answer: it is too long"));
        line = taken.line;
        if (taken.rest === undefined) return;
        // What was typed ahead answers the next question.
        stdin.off("data", take).pause();
        if (taken.rest !== "") stdin.unshift(taken.rest);
        end();
      };
      stdin.on("data", take).once("end", end).resume();
      waiting.signal.addEventListener("abort", () => void stdin.off("data", take).off("end", end).pause());
    });
  } finally {
    waiting.abort();
  }
}

/** What keys make of a line; `rest` is what follows its end. */
function edit(before: string, keys: string): { line: string; rest?: string; interrupted: boolean } {
  const characters = Array.from(before);
  let used = 0;
  for (const key of keys) {
    used += key.length;
    if (key === INTERRUPT) return { line: "", interrupted: true };
    if (key === END_OF_INPUT || ENTER.test(key))
      return { line: characters.join(""), rest: keys.slice(used), interrupted: false };
    if (key === ERASE_LINE) characters.length = 0;
    else if (ERASES.includes(key)) characters.pop();
    else characters.push(key);
  }
  return { line: characters.join(""), interrupted: false };
}
