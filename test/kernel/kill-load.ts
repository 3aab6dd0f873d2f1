/**
 * For tests: readers that go on and on while servers are killed.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { hash } from "node:crypto";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import type { DaemonClient } from "../../src/daemon/index.ts";

/** Reads all files in an order of its own, past the page cache, and says the digests, once and until its input has a line. */
const READER = `
  while :; do
    ls -l > /dev/null || exit 1
    for file in $(ls | shuf); do
      dd if=$file iflag=nocache count=0 status=none || exit 1
      sha256sum $file || exit 1
    done
    read -t 0.01 stop && exit 0
  done`;

/** What readers saw. */
export interface LoadReport {
  readonly failures: number;
  /** Lines of digests that are not those of the files. */
  readonly wrong: readonly string[];
  readonly files: number;
}

/** Readers of one directory, each a process. */
export class ReadLoad implements AsyncDisposable {
  readonly #children: readonly ChildProcess[];
  readonly #sums: ReadonlySet<string>;
  readonly #wrong: string[] = [];
  #files = 0;

  constructor(
    directory: string,
    options: { readonly contents: ReadonlyMap<string, Buffer>; readonly readers: number },
  ) {
    this.#sums = new Set([...options.contents].map(([name, bytes]) => `${hash("sha256", bytes)}  ${name}`));
    this.#children = Array.from({ length: options.readers }, () => this.#start(directory));
  }

  /** Lets readers finish their round. */
  async end(): Promise<LoadReport> {
    const ends = this.#children.map(async (child) => {
      const closed = child.exitCode === null ? once(child, "close") : undefined;
      child.stdin?.end("stop\n");
      await closed;
      return child.exitCode;
    });
    const codes = await Promise.all(ends);
    return { failures: codes.filter((code) => code !== 0).length, wrong: this.#wrong, files: this.#files };
  }

  /** Ends readers that are left, whatever they wait for. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await Promise.race([gone, pause(1000)]);
    }
  }

  #start(directory: string): ChildProcess {
    const child = spawn("bash", ["-c", READER], { cwd: directory, stdio: ["pipe", "pipe", "inherit"] });
    child.stdin.on("error", () => undefined);
    let rest = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      this.#files += lines.length;
      // All of them in a long test would be too many to keep.
      for (const line of lines) if (!this.#sums.has(line)) this.#wrong.push(line);
    });
    return child;
  }
}

/** Kills the server a number of times, each time when it has served for a while; resolves when the last one is followed. */
export async function killAgainAndAgain(
  client: DaemonClient,
  options: { readonly kills: number; readonly everyMs: number },
): Promise<void> {
  let { pid } = await client.info();
  const { holderPid, mounts } = await client.info();
  for (let kill = 0; kill < options.kills; kill += 1) {
    await pause(options.everyMs);
    process.kill(pid, "SIGKILL");
    // The call waits in the socket, which the holder keeps, until the next server answers.
    const info = await client.info();
    assert.notEqual(info.pid, pid);
    assert.deepEqual([info.holderPid, info.mounts], [holderPid, mounts]);
    ({ pid } = info);
  }
}
