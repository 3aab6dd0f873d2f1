/**
 * Which store a command works on.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import type { Environment } from "./environment.ts";
import { namedStore } from "./named-store.ts";

const STORE_FLAG = "--store <dir>";

/** Adds the option that names a store, to the program or to a command. */
export function addStoreFlag(command: Command): Command {
  return command.option(STORE_FLAG, "store of layers and its daemon (default: ESGZ_STORE, else this user's)");
}

/** The absolute path of the store that the options of a command or the program name, else the environment, else the user's own. */
export async function storeOf(environment: Environment, command: Command): Promise<string> {
  const { store, config } = command.optsWithGlobals<{ store?: string; config?: string }>();
  const named = namedStore(store, environment);
  if (named !== undefined) return named;
  const { storeRootOf } = await import("../daemon/index.ts");
  return await storeRootOf(environment, { configPath: config === undefined ? undefined : resolve(config) });
}

/** Where the changes of a writable mount that is gone are, until they are pruned; undefined if nothing was changed. */
export function findKeptChanges(store: string, mount: string): string | undefined {
  const kept = join(store, "kept", mount);
  return existsSync(kept) ? kept : undefined;
}
