/**
 * Which programs of this machine can start a container.
 *
 * @module
 */
import { access, constants, stat } from "node:fs/promises";
import { isAbsolute, join } from "node:path";

/** The programs that are looked for. */
export const RUNTIME_PROGRAMS = [
  "runc",
  "crun",
  "unshare",
  "setpriv",
  "chroot",
  "mount",
  "sh",
  "env",
  "newuidmap",
  "newgidmap",
] as const;

/** A program that is looked for. */
export type RuntimeProgram = (typeof RUNTIME_PROGRAMS)[number];

/** Absolute paths of the programs that are there. */
export type FoundRuntimes = Readonly<Partial<Record<RuntimeProgram, string>>>;

/** Where to look. */
export interface FindRuntimesOptions {
  /** As the environment variable `PATH`: directories with colons between them. Relative ones are passed over. */
  readonly path: string;
}

/** Looks for runtimes, and for what can stand in for one. Nothing is run. */
export async function findRuntimes({ path }: FindRuntimesOptions): Promise<FoundRuntimes> {
  const directories = path.split(":").filter((directory) => isAbsolute(directory));
  const found = await Promise.all(
    RUNTIME_PROGRAMS.map(async (name) => [name, await findProgram(name, directories)] as const),
  );
  return Object.fromEntries(found.filter(([, place]) => place !== undefined));
}

async function findProgram(name: string, directories: readonly string[]): Promise<string | undefined> {
  for (const directory of directories) {
    const place = join(directory, name);
    if (await isProgram(place)) return place;
  }
  return undefined;
}

async function isProgram(place: string): Promise<boolean> {
  try {
    await access(place, constants.X_OK);
    return (await stat(place)).isFile();
  } catch {
    return false;
  }
}
