/**
 * The store that a user names.
 *
 * @module
 */
import { resolve } from "node:path";
import { EsgzError } from "../errors/index.ts";
import type { Environment } from "./environment.ts";

/**
 * The absolute path of the store that an option names, or the environment; undefined where neither does.
 *
 * @throws {EsgzError} `USAGE_INVALID` for an option without a name
 */
export function namedStore(
  option: string | undefined,
  { variables }: Pick<Environment, "variables">,
): string | undefined {
  if (option === "") {
    throw new EsgzError("USAGE_INVALID", "Cannot use --store: expected a directory, got an empty text");
  }
  const named = option ?? variables["ESGZ_STORE"];
  return named === undefined || named === "" ? undefined : resolve(named);
}
