/**
 * Opening the image that a reading command names.
 *
 * @module
 */
import { DisposableList } from "../async/index.ts";
import { hostPlatform } from "../daemon/index.ts";
import type { Image, ImageSource } from "../image/index.ts";
import { parsePlatform } from "../oci/index.ts";
import type { RegistryClient } from "../registry/index.ts";
import type { CommandContext } from "./command-context.ts";
import { openRegistryClient, type RegistryFlags } from "./registry-access.ts";

/** Options of commands that read an image of one platform. */
export interface ImageFlags extends RegistryFlags {
  readonly platform?: string;
}

/** An open image, with what must be closed after it. */
export interface CommandImage extends AsyncDisposable {
  readonly image: Image;
  readonly source: ImageSource;
  readonly registry: RegistryClient;
}

/** Opens an image by its name, for the platform that the flags say or this machine's. */
export async function openCommandImage(
  context: CommandContext,
  name: string,
  flags: ImageFlags,
): Promise<CommandImage> {
  const { signal } = context.environment;
  const platform = flags.platform === undefined ? hostPlatform() : parsePlatform(flags.platform);
  const { openImage, openImageSource } = await import("../image/index.ts");
  const registry = await openRegistryClient(context.environment, flags);
  await using parts = new DisposableList();
  parts.use(registry);
  const source = parts.use(await openImageSource(name, { registry, signal }));
  const image = await openImage(source, { platform, signal });
  const owned = parts.move();
  return {
    image,
    source,
    registry,
    [Symbol.asyncDispose]: async () => await owned[Symbol.asyncDispose](),
  };
}
