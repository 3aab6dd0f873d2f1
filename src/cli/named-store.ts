/**
 * The store that a user names.
 *
 * @module
 */
import { resolve } from "node:path";
import type { Environment } from "./environment.ts";

/** The absolute path of the store that an option names, or the environment; undefined where neither does. */
export function namedStore(
  option: string | undefined,
  { variables }: Pick<Environment, "variables">,
): string | undefined {
  const named = option ?? variables["ESGZ_STORE"];
  return named === undefined || named === "" ? undefined : resolve(named);
}
