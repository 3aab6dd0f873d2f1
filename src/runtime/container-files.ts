/**
 * The files under `/etc` that belong to the machine and the container, not to the image.
 *
 * @module
 */
import { constants } from "node:fs";
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ContainerDirectory } from "./container-directory.ts";
import type { ReplacedFile } from "./container-mounts.ts";
import { findInRoot, type RootView } from "./root-view.ts";

const LOCAL_HOSTS = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/**
 * Writes copies for the container: it may change them, and nobody else sees it.
 *
 * A file that the root does not have is left out if it cannot be made there.
 */
export async function writeContainerFiles(
  directory: ContainerDirectory,
  options: { readonly root: RootView; readonly network: "host" | "none"; readonly hostname: string },
): Promise<ReplacedFile[]> {
  const { root, network, hostname } = options;
  const texts: Record<string, string> = { hostname: `${hostname}\n` };
  if (network === "host") {
    texts["hosts"] = withName(await readHostFile("/etc/hosts"), hostname);
    texts["resolv.conf"] = await readHostFile("/etc/resolv.conf");
  } else {
    texts["hosts"] = withName(LOCAL_HOSTS, hostname);
  }
  const writable = await isWritable(root);
  const files: ReplacedFile[] = [];
  for (const [name, text] of Object.entries(texts)) {
    const target = `/etc/${name}`;
    if (!writable && (await findInRoot(root, target)) === undefined) continue;
    files.push({ source: await directory.write(join("etc", name), text), target });
  }
  return files;
}

/** Names of hosts, with the container's own among them. */
export function withName(hosts: string, hostname: string): string {
  const text = hosts === "" || hosts.endsWith("\n") ? hosts : `${hosts}\n`;
  const known = text.split("\n").some((line) => {
    const [words = ""] = line.split("#");
    return words.split(/\s+/).slice(1).includes(hostname);
  });
  return known ? text : `${text}127.0.1.1\t${hostname}\n`;
}

async function readHostFile(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}

async function isWritable({ directories }: RootView): Promise<boolean> {
  const [top = "/"] = directories;
  return access(top, constants.W_OK).then(
    () => true,
    () => false,
  );
}
