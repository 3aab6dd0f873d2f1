/**
 * `esgz cat`: one file of an image, fetched through its chunks alone.
 *
 * @module
 */
import type { Command } from "commander";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import { type Environment, writeOut } from "../environment.ts";
import { type ImageFlags, openCommandImage } from "../open-command-image.ts";
import { addRegistryFlags } from "../registry-access.ts";

type Flags = SharedFlags & ImageFlags;

/** Adds the command. */
export function registerCat(program: Command, environment: Environment): void {
  addRegistryFlags(addSharedFlags(program.command("cat")))
    .description(
      "print a file of an image; of a seekable layer only the index and the file's chunks are fetched",
    )
    .argument("<image>", "image to look into")
    .argument("<path>", "file; symlinks are followed inside the image")
    .option("--platform <os/arch>", "platform to look at (default: this machine's)")
    .action(async (image: string, path: string, flags: Flags) =>
      run(new CommandContext(environment, flags), { image, path }, flags),
    );
}

async function run(
  context: CommandContext,
  names: { image: string; path: string },
  flags: Flags,
): Promise<void> {
  const { signal } = context.environment;
  const { openImageFiles, readImageFile, resolveImagePath } = await import("../../image/index.ts");
  await using opened = await openCommandImage(context, names.image, flags);
  const files = await openImageFiles(opened.image, {
    signal,
    onOpaque: ({ layer, reason }) => context.note(`layer ${layer.index} is read whole: ${reason}`),
  });
  const { node } = resolveImagePath(files, names.path);
  for await (const bytes of readImageFile(files, node, { signal }))
    await writeOut(context.environment, bytes);
}
