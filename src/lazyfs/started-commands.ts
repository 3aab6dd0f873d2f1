/**
 * What a command starts, as its words tell. Facts of the programs themselves: their manuals have them.
 *
 * @module
 */
import { decodePathText } from "../bytes/index.ts";

/** What runs after a command, or within it. */
export type StartedCommand =
  /** A command somewhere in these words, after options and what else its starter takes. */
  | { readonly kind: "words"; readonly words: readonly string[] }
  /** A text for a shell. */
  | { readonly kind: "text"; readonly text: string; readonly parameters: readonly string[] }
  /** A file with such a text; the first parameter is its path. */
  | { readonly kind: "script"; readonly parameters: readonly string[] };

const SHELLS = new Set("sh ash bash dash ksh mksh zsh".split(" "));
/** Programs that become what their last words say, or wait for it; `exec` and the next are shells' own. */
const STARTERS = new Set(
  [
    "exec command eval nohup time",
    "env nice ionice chrt taskset timeout stdbuf setsid xargs busybox catchsegv numactl",
    "tini tini-static dumb-init catatonit docker-init",
    "gosu su-exec setpriv setuidgid chpst sudo runuser su",
  ]
    .join(" ")
    .split(" "),
);
/** Options of shells whose next word is theirs. */
const SHELL_VALUE = /^[-+][A-Za-z]*[oO]$/;
const SHELL_TEXT = /^-[A-Za-z]*c[A-Za-z]*$/;

/** Commands of the shell itself, some of which are programs, too: POSIX.1-2017, and bash's. */
const BUILTINS = new Set(
  [
    ". : [ [[ alias bg break cd command continue echo eval exec exit export false fc fg getopts hash jobs kill local",
    "printf pwd read readonly return set shift source test times trap true type typeset declare ulimit umask unalias",
    "unset wait let shopt mapfile readarray builtin enable",
  ]
    .join(" ")
    .split(" "),
);

/** What a command starts; undefined if it is not one of those that start others. */
export function startedBy(command: readonly string[]): StartedCommand | undefined {
  const [path = "", ...words] = command;
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (SHELLS.has(name)) return startedByShell(words);
  if (name === "." || name === "source") return { kind: "script", parameters: words };
  if (name === "set") return after(words, (word) => word === "--");
  if (name === "find") return after(words, (word) => /^-(?:exec|execdir|ok)$/.test(word));
  if (!STARTERS.has(name)) return undefined;
  if (name === "su" || name === "runuser") {
    const text = after(words, (word) => word === "-c" || word === "--command")?.words[0];
    if (text !== undefined) return { kind: "text", text, parameters: [] };
  }
  return { kind: "words", words };
}

/** Whether a shell runs it without a program. */
export function isShellBuiltin(name: string): boolean {
  return BUILTINS.has(name);
}

/** The words in the first line of a script, which is a file that begins so; undefined for others. */
export function interpreterOf(line: Uint8Array): readonly string[] | undefined {
  if (line[0] !== 0x23 || line[1] !== 0x21) return undefined;
  const end = line.indexOf(0x0a);
  const words = decodePathText(line.subarray(2, end < 0 ? line.length : end))
    .trim()
    .split(/[ \t]+/);
  return words[0] === "" ? undefined : words;
}

function startedByShell(words: readonly string[]): StartedCommand | undefined {
  let hasText = false;
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? "";
    if (SHELL_VALUE.test(word)) at += 1;
    else if (SHELL_TEXT.test(word)) hasText = true;
    else if (!/^[-+]/.test(word)) {
      const parameters = words.slice(at);
      return hasText
        ? { kind: "text", text: word, parameters: parameters.slice(1) }
        : { kind: "script", parameters };
    }
  }
  return undefined;
}

function after(
  words: readonly string[],
  isMark: (word: string) => boolean,
): (StartedCommand & { readonly kind: "words" }) | undefined {
  const at = words.findIndex(isMark);
  return at < 0 ? undefined : { kind: "words", words: words.slice(at + 1) };
}
