/**
 * Which mount it is, when names and numbers are used again.
 *
 * @module
 */
import { open, readFile } from "node:fs/promises";
import { encodePathText } from "../bytes/index.ts";
import { uniqueMountId } from "./native-calls.ts";

/** A mount among all there are and were. */
export interface MountIdentity {
  /** Its number in the mount table; the next mount gets it when this one is gone. */
  readonly id: number;
  /** A number that no other mount ever has; undefined before Linux 6.8. */
  readonly uniqueId: bigint | undefined;
}

const O_PATH = 0o10000000;

/** The mount that an open file, or a mount's own descriptor, is of. */
export async function identityOf(fd: number): Promise<MountIdentity> {
  const text = await readFile(`/proc/self/fdinfo/${fd}`, "latin1");
  const id = Number(/^mnt_id:\s*(\d+)$/m.exec(text)?.[1] ?? "-1");
  return { id, uniqueId: await uniqueMountId(fd) };
}

/** The topmost mount at a directory. Its filesystem is not asked. */
export async function identityAt(directory: string): Promise<MountIdentity> {
  await using handle = await open(Buffer.from(encodePathText(directory)), O_PATH);
  return await identityOf(handle.fd);
}
