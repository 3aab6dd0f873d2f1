/**
 * Debian's names for the directories of a machine's libraries.
 *
 * Source: the Debian wiki, Multiarch/Tuples; `e_machine` of elf(5).
 *
 * @module
 */

const X86_64 = "x86_64-linux-gnu";
const AARCH64 = "aarch64-linux-gnu";

/** The names by `e_machine`. */
export const TRIPLETS: Readonly<Record<number, string>> = {
  3: "i386-linux-gnu",
  21: "powerpc64le-linux-gnu",
  22: "s390x-linux-gnu",
  40: "arm-linux-gnueabihf",
  62: X86_64,
  183: AARCH64,
  243: "riscv64-linux-gnu",
};

/** Those of nearly all images: what is looked for before a program has said its machine. */
export const COMMON_TRIPLETS: readonly string[] = [X86_64, AARCH64];
