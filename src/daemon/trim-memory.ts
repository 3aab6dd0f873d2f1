/**
 * Gives back memory of a process that has nothing to do.
 *
 * Most of what an idle Node process has resident is its own program, read from a file: code that ran once, at the start.
 * The pages stay in the kernel's cache, which all processes share; when one is used again, it is mapped again, in
 * microseconds.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { loadNativeCalls } from "./native-calls.ts";

/** A mapping of `/proc/self/smaps`. */
interface Mapping {
  readonly start: bigint;
  readonly end: bigint;
  /** Such as `r-xp`. */
  readonly rights: string;
  readonly path: string;
  /** Bytes that are in memory, and those of them that differ from the file. */
  readonly resident: number;
  readonly changed: number;
}

const WORTHWHILE = 1 << 20;
const KIB = 1024;

/**
 * Lets go of the pages of program files. Does nothing where the system does not tell enough.
 *
 * @returns the bytes that are not resident any more.
 */
export function trimMemory(): number {
  let trimmed = 0;
  try {
    for (const mapping of parseMappings(readFileSync("/proc/self/smaps", "latin1"))) {
      if (!canBeReadAgain(mapping)) continue;
      const { start, end, resident } = mapping;
      if (loadNativeCalls().dropPages(start, end - start) === 0) trimmed += resident;
    }
  } catch {
    // It would have been nice, and is not needed.
  }
  return trimmed;
}

/** Whether the file has all of it: nothing was written to these pages, and nothing can be. */
function canBeReadAgain({ rights, path, resident, changed }: Mapping): boolean {
  return /^r-[-x]p$/.test(rights) && path.startsWith("/") && changed === 0 && resident >= WORTHWHILE;
}

/** The mappings in a text of `/proc/PID/smaps`; see proc_pid_smaps(5). */
export function parseMappings(text: string): readonly Mapping[] {
  return text.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).flatMap((part) => {
    const head = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$/m.exec(part);
    if (head === null) return [];
    const [, start = "0", end = "0", rights = "", path = ""] = head;
    const bytes = (name: string): number =>
      Number(new RegExp(`^${name}: +(\\d+) kB$`, "m").exec(part)?.[1] ?? "0") * KIB;
    return {
      start: BigInt(`0x${start}`),
      end: BigInt(`0x${end}`),
      rights,
      path,
      resident: bytes("Rss"),
      changed: Math.max(bytes("Anonymous"), bytes("Private_Dirty")),
    };
  });
}
