/**
 * Where the store of a user is.
 *
 * @module
 */
import { defaultConfigPath, defaultStoreRoot, type StoreOwner } from "./daemon-files.ts";
import { readConfig } from "./read-config.ts";

/**
 * The store of a user who names none: what the configuration says, else `defaultStoreRoot()`.
 *
 * @param options.configPath in place of the user's or the system's file.
 * @throws {EsgzError} `CONFIGURATION_INVALID`
 */
export async function storeRootOf(
  owner: StoreOwner,
  options: { readonly configPath?: string | undefined } = {},
): Promise<string> {
  const parsed = await readConfig(options.configPath ?? defaultConfigPath(owner));
  return parsed?.config.store ?? defaultStoreRoot(owner);
}
