/**
 * Runs the image's command in a root filesystem: in a chroot where that is allowed, else through the image's own loader.
 *
 * @module
 */
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { MACHINE_IMAGE_COMMAND } from "./machine-image.ts";

/** What the command prints. */
export function runInRoot(root: string): string {
  const options = { encoding: "utf8", env: { PATH: "/usr/local/bin:/usr/bin:/bin" } } as const;
  const ways = [
    ["chroot", root, ...MACHINE_IMAGE_COMMAND],
    ["unshare", "--user", "--map-root-user", "chroot", root, ...MACHINE_IMAGE_COMMAND],
  ];
  for (const [command = "", ...args] of ways) {
    const found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map((directory) => join(directory, command));
    for (const path of found) {
      const { status, stdout } = spawnSync(path, args, options);
      if (status === 0) return stdout;
    }
  }
  return `${runThroughLoader(root)} (without chroot, which this user may not)`;
}

/** Without any privilege: the image's loader starts the image's node with the image's libraries. */
function runThroughLoader(root: string): string {
  const files = readdirSync(root, { recursive: true, encoding: "utf8" });
  const loader = files.find((file) => /(^|\/)ld-[^/]*\.so\.\d$/.test(file)) ?? "";
  const libraries = [
    ...new Set(files.filter((file) => /\.so(\.\d+)*$/.test(file)).map((file) => join(root, dirname(file)))),
  ];
  const program = "console.log(`hello from node ${process.version}`)";
  const node = join(root, MACHINE_IMAGE_COMMAND[0]);
  const args = ["--library-path", libraries.join(":"), node, "-e", program];
  return execFileSync(join(root, loader), args, { encoding: "utf8" }).trim();
}
