/**
 * What a container runs, and with which variables.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { ContainerConfig } from "../oci/index.ts";
import { DEFAULT_PATH } from "./default-isolation.ts";

/** What was asked for instead of what the image says. */
export interface CommandChoice {
  /** Takes the place of the image's `Cmd`. Empty counts as absent. */
  readonly command?: readonly string[] | undefined;
  /** Takes the place of the image's `Entrypoint`, and leaves its `Cmd` out. `[]` and `[""]` leave both out. */
  readonly entrypoint?: readonly string[] | undefined;
}

/**
 * The words that a container runs, by docker's rules.
 *
 * @throws {EsgzError} `USAGE_INVALID` if neither image nor user names a program.
 */
export function containerCommand(config: ContainerConfig, choice: CommandChoice): readonly string[] {
  const words = containerWords(config, choice);
  if (words.length === 0 || words[0] === "") {
    const found = words.length === 0 ? "an image without one" : "an empty name";
    throw new EsgzError("USAGE_INVALID", `Cannot start container: expected a command, got ${found}`);
  }
  const broken = words.find((word) => word.includes("\0"));
  if (broken !== undefined) {
    throw new EsgzError(
      "USAGE_INVALID",
      `Cannot start container: expected words without NUL, got "${broken}"`,
    );
  }
  return words;
}

/** The same words, whatever they are: none where nobody names a program. */
export function containerWords(config: ContainerConfig, choice: CommandChoice): readonly string[] {
  const { command = [], entrypoint } = choice;
  const first = entrypoint ?? config.Entrypoint ?? [];
  const rest = command.length > 0 || entrypoint !== undefined ? command : (config.Cmd ?? []);
  return [...(first.length === 1 && first[0] === "" ? [] : first), ...rest];
}

/** Where the variables of a container come from. */
export interface EnvironmentChoice {
  /** `NAME=value`, from the image. */
  readonly image: readonly string[];
  /** `NAME=value`, from the user. */
  readonly user: readonly string[];
  readonly hostname: string;
  readonly home: string;
  readonly tty: boolean;
}

/**
 * The variables of a container: defaults, over them the image's, over them the user's. Each name once. What the image has
 * of broken entries is left out.
 *
 * @throws {EsgzError} `USAGE_INVALID` for an entry of the user that is not `NAME=value`.
 */
export function containerEnvironment(choice: EnvironmentChoice): string[] {
  const values = new Map([
    ["PATH", DEFAULT_PATH],
    ["HOSTNAME", choice.hostname],
  ]);
  if (choice.tty) values.set("TERM", "xterm");
  for (const entry of choice.image) {
    const [name, value] = splitVariable(entry) ?? [];
    if (name !== undefined && value !== undefined) values.set(name, value);
  }
  for (const entry of choice.user) {
    const [name, value] = splitVariable(entry) ?? [];
    if (name === undefined || value === undefined) {
      throw new EsgzError("USAGE_INVALID", `Cannot set variable "${entry}": expected NAME=value`);
    }
    values.set(name, value);
  }
  if (!values.has("HOME")) values.set("HOME", choice.home);
  return Array.from(values, ([name, value]) => `${name}=${value}`);
}

function splitVariable(entry: string): readonly [string, string] | undefined {
  const end = entry.indexOf("=");
  return end <= 0 || entry.includes("\0") ? undefined : [entry.slice(0, end), entry.slice(end + 1)];
}
