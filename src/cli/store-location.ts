/**
 * Which store a command works on.
 *
 * @module
 */
import { join, resolve } from "node:path";
import type { Command } from "commander";
import type { Environment } from "./environment.ts";

const SYSTEM_STORE = "/var/lib/esgz";
const STORE_FLAG = "--store <dir>";

/** Adds the option that names a store, to the program or to a command. */
export function addStoreFlag(command: Command): Command {
  return command.option(STORE_FLAG, "store of layers and its daemon (default: ESGZ_STORE, else this user's)");
}

/** The absolute path of the store that the options of a command or the program name, else the environment, else the user's own. */
export function storeOf(environment: Environment, command: Command): string {
  const { store } = command.optsWithGlobals<{ store?: string }>();
  const named = store ?? environment.variables["ESGZ_STORE"];
  return named === undefined || named === "" ? defaultStore(environment) : resolve(named);
}

function defaultStore({ variables, home, isRoot }: Environment): string {
  if (isRoot) return SYSTEM_STORE;
  const data = variables["XDG_DATA_HOME"];
  return join(data === undefined || data === "" ? join(home, ".local", "share") : data, "esgz");
}
