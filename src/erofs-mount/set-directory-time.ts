/**
 * The time of a directory that takes the place of another one.
 *
 * @module
 */
import { utimes } from "node:fs/promises";
import { isEsgzError } from "../errors/index.ts";
import { setTimes } from "./native-calls.ts";

/**
 * Sets both times of a directory. Where there are no native calls, what lies below a microsecond is lost.
 *
 * @throws errors of the system
 */
export async function setDirectoryTime(
  path: string,
  time: { readonly seconds: number; readonly nanoseconds: number },
): Promise<void> {
  try {
    await setTimes(path, time);
  } catch (error) {
    if (!isEsgzError(error, "NOT_SUPPORTED")) throw error;
    const seconds = time.seconds + time.nanoseconds / 1e9;
    await utimes(path, seconds, seconds);
  }
}
