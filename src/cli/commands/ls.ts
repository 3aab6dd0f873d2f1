/**
 * `esgz ls`: the files of an image, without pulling it.
 *
 * @module
 */
import type { Command } from "commander";
import type { RootNode } from "../../image/index.ts";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import { type Environment, writeOut } from "../environment.ts";
import { formatTable, formatTime, printable } from "../format.ts";
import { type ImageFlags, openCommandImage } from "../open-command-image.ts";
import { addRegistryFlags } from "../registry-access.ts";

interface Flags extends SharedFlags, ImageFlags {
  readonly long?: boolean;
  readonly recursive?: boolean;
}

/** Adds the command. */
export function registerLs(program: Command, environment: Environment): void {
  addRegistryFlags(addSharedFlags(program.command("ls")))
    .description("list files of an image; of seekable layers only the indexes are read")
    .argument("<image>", "image to look into")
    .argument("[path]", "directory or file", "/")
    .option("-l, --long", "modes, owners, sizes, times, targets")
    .option("-R, --recursive", "everything below the path")
    .option("--platform <os/arch>", "platform to look at (default: this machine's)")
    .action(async (image: string, path: string, flags: Flags) =>
      run(new CommandContext(environment, flags), { image, path }, flags),
    );
}

interface Listed {
  readonly path: string;
  readonly node: RootNode;
}

async function run(
  context: CommandContext,
  names: { image: string; path: string },
  flags: Flags,
): Promise<void> {
  const { openImageFiles, resolveImagePath } = await import("../../image/index.ts");
  await using opened = await openCommandImage(context, names.image, flags);
  const files = await openImageFiles(opened.image, {
    signal: context.environment.signal,
    onOpaque: ({ layer, reason }) => context.note(`layer ${layer.index} is read whole: ${reason}`),
  });
  const place = resolveImagePath(files, names.path, { followLast: false });
  const listed = [...list(place, flags.recursive === true)];
  if (context.json) return context.print(listed.map(factsOf), "");
  const text =
    flags.long === true ? formatTable(listed.map(longRow), [2, 3, 4]) : listed.map(shortLine).join("");
  await writeOut(context.environment, text);
}

function* list({ path, node }: Listed, recursive: boolean): Generator<Listed> {
  if (node.children === undefined) {
    yield { path, node };
    return;
  }
  const names = [...node.children.keys()].toSorted();
  for (const name of names) {
    const child = node.children.get(name);
    if (child === undefined) continue;
    const place = { path: path === "" ? name : `${path}/${name}`, node: child };
    yield place;
    if (recursive && child.children !== undefined) yield* list(place, true);
  }
}

function shortLine({ path, node }: Listed): string {
  return `/${printable(path)}${node.inode.type === "dir" ? "/" : ""}\n`;
}

const TYPE_LETTERS = { reg: "-", dir: "d", symlink: "l", char: "c", block: "b", fifo: "p" } as const;

function longRow({ path, node }: Listed): string[] {
  const { inode } = node;
  const device = inode.type === "char" || inode.type === "block";
  return [
    `${TYPE_LETTERS[inode.type]}${permissions(inode.mode)}`,
    String(inode.nlink),
    String(inode.uid),
    String(inode.gid),
    device ? `${inode.devMajor},${inode.devMinor}` : String(inode.size),
    formatTime(inode.mtime.seconds),
    `/${printable(path)}${inode.type === "symlink" ? ` -> ${printable(inode.linkName)}` : ""}`,
  ];
}

/** The nine letters of `ls -l`, with s and t for set-id and sticky bits. */
function permissions(mode: number): string {
  const special = [mode & 0o4000, mode & 0o2000, mode & 0o1000];
  return [6, 3, 0]
    .map((shift, at) => {
      const bits = (mode >> shift) & 7;
      const execute = (bits & 1) !== 0;
      const letter = at === 2 ? "t" : "s";
      const last = special[at] === 0 ? (execute ? "x" : "-") : execute ? letter : letter.toUpperCase();
      return `${bits & 4 ? "r" : "-"}${bits & 2 ? "w" : "-"}${last}`;
    })
    .join("");
}

function factsOf({ path, node }: Listed): Readonly<Record<string, unknown>> {
  const { type, mode, uid, gid, size, mtime, linkName, nlink, layer, devMajor, devMinor, xattrs } =
    node.inode;
  return {
    path: `/${path}`,
    type,
    mode,
    uid,
    gid,
    size,
    mtime,
    nlink,
    layer,
    ...(type === "symlink" ? { target: linkName } : {}),
    ...(type === "char" || type === "block" ? { devMajor, devMinor } : {}),
    ...(xattrs.size > 0
      ? { xattrs: Object.fromEntries([...xattrs].map(([name, value]) => [name, base64(value)])) }
      : {}),
  };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
