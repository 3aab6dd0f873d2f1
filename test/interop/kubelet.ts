/**
 * For tests: what the kubelet does, done with `crictl` against containerd with esgz as its snapshotter.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { LazyNode } from "./lazy-node.ts";

const run = promisify(execFile);

/** Where the programs are that no distribution has: a variable names the directory. */
export const CRI_TOOLS: string | undefined = process.env["ESGZ_CRI_TOOLS"];

/** Why there is no `crictl`; undefined if there is. */
export function whyNoCrictl(): string | undefined {
  if (CRI_TOOLS === undefined) return "ESGZ_CRI_TOOLS names no directory with crictl";
  return existsSync(join(CRI_TOOLS, "crictl")) ? undefined : `${CRI_TOOLS} has no crictl`;
}

/** One node's kubelet. */
export class Kubelet {
  readonly #node: LazyNode;
  readonly #images: string;

  /** @param images the socket of the image service; default: containerd's. */
  constructor(node: LazyNode, images: string = node.socket) {
    this.#node = node;
    this.#images = images;
  }

  /** Runs `crictl`; resolves with what it prints. */
  async crictl(...args: readonly string[]): Promise<string> {
    const endpoints = ["--runtime-endpoint", `unix://${this.#node.socket}`];
    const images = ["--image-endpoint", `unix://${this.#images}`, "--timeout", "60s"];
    const { stdout } = await run(
      join(CRI_TOOLS ?? "", "crictl"),
      ["--config", "/dev/null", ...endpoints, ...images, ...args],
      { maxBuffer: 64 << 20, timeout: 120_000 },
    );
    return stdout.trim();
  }

  /** Runs a pod in the network of the node; resolves with its id. */
  async pod(name: string): Promise<string> {
    const path = join(this.#node.base, `${name}.pod.json`);
    const options = { network: 2, pid: 1, ipc: 0 };
    await writeFile(
      path,
      JSON.stringify({
        metadata: { name, namespace: "default", uid: name, attempt: 1 },
        log_directory: join(this.#node.base, "pod-logs"),
        linux: { security_context: { namespace_options: options } },
      }),
    );
    return await this.crictl("runp", path);
  }

  /** Creates a container in a pod and starts it; resolves with its id. */
  async container(pod: string, image: string, command: readonly string[]): Promise<string> {
    const path = join(this.#node.base, `${pod}.container.json`);
    await writeFile(
      path,
      JSON.stringify({
        metadata: { name: "main", attempt: 1 },
        image: { image },
        command,
        log_path: "main.log",
        linux: { security_context: { namespace_options: { network: 2, pid: 1 } } },
      }),
    );
    // The pod's own configuration lies beside it, under its name.
    const { status } = JSON.parse(await this.crictl("inspectp", pod)) as {
      readonly status: { readonly metadata: { readonly name: string } };
    };
    const podPath = join(this.#node.base, `${status.metadata.name}.pod.json`);
    const id = await this.crictl("create", pod, path, podPath);
    await this.crictl("start", id);
    return id;
  }

  /** Runs a command in a container; resolves with what it prints. */
  async exec(container: string, command: readonly string[]): Promise<string> {
    return await this.crictl("exec", "--sync", container, ...command);
  }
}
