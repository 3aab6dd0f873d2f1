/**
 * A containerd of the benchmark's own: own root, state and sockets; nothing of the machine's is touched.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** A running containerd. */
export interface BenchContainerd extends AsyncDisposable {
  readonly socket: string;
  readonly process: ChildProcess;
  readonly stop: () => Promise<void>;
}

/** Starts one below `directory`. */
export async function startContainerd(
  directory: string,
  options: { readonly proxySnapshotter?: { readonly name: string; readonly address: string } } = {},
): Promise<BenchContainerd> {
  const socket = join(directory, "containerd.sock");
  const config = join(directory, "config.toml");
  mkdirSync(join(directory, "state"), { recursive: true });
  const lines = [
    "version = 2",
    `root = "${join(directory, "containerd")}"`,
    `state = "${join(directory, "state")}"`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    `[grpc]\n  address = "${socket}"`,
    `[ttrpc]\n  address = "${socket}.ttrpc"`,
  ];
  const { proxySnapshotter: proxy } = options;
  if (proxy !== undefined) {
    lines.push(`[proxy_plugins.${proxy.name}]\n  type = "snapshot"\n  address = "${proxy.address}"`);
  }
  writeFileSync(config, `${lines.join("\n")}\n`);
  const child = spawn("containerd", ["-c", config, "-l", "error"], { stdio: "ignore" });
  await untilExists(socket, child);
  const stop = (): Promise<void> => endProcess(child);
  return { socket, process: child, stop, [Symbol.asyncDispose]: stop };
}

/** Waits for a path that a process makes. */
export async function untilExists(path: string, child: ChildProcess): Promise<void> {
  for (let tries = 0; !existsSync(path); tries += 1) {
    if (tries > 400 || child.exitCode !== null || child.signalCode !== null)
      throw new Error(`Cannot start ${child.spawnfile}: expected "${path}" to appear`);
    await delay(50);
  }
}

/** Ends a process and waits for its end. */
export async function endProcess(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await gone;
}
