/**
 * A daemon of a store of the run's own, and what it says of its work.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { connectDaemon, type DaemonClient } from "../src/daemon/index.ts";
import { endProcess, untilExists } from "./containerd.ts";
import { esgzCommand, runEsgz } from "./esgz-command.ts";
import type { Scratch } from "./scratch.ts";

/** A running daemon. */
export interface EsgzDaemon {
  /** The root of its store. */
  readonly store: string;
  /** The holder; the server is below it. */
  readonly process: ChildProcess;
  readonly client: DaemonClient;
}

/** Starts one, which ends with the scratch. Resolves when it has answered. */
export async function startEsgzDaemon(scratch: Scratch, name = "store"): Promise<EsgzDaemon> {
  const store = join(scratch.directory, name);
  const [file = "", ...args] = esgzCommand("daemon", "--store", store);
  const process = spawn(file, args, { stdio: ["ignore", "ignore", "ignore"] });
  scratch.defer(() => endProcess(process));
  await untilExists(join(store, "control.sock"), process);
  runEsgz("images", "--store", store);
  const client = await connectDaemon({ store });
  scratch.defer(() => client.close());
  return { store, process, client };
}

/** Reads that waited for the network and for how long in all, and what came for no reader. */
export async function factsOfDaemon(client: DaemonClient): Promise<Readonly<Record<string, number>>> {
  const text = await client.metrics();
  const value = (name: string): number =>
    Number(
      text
        .split("\n")
        .find((line) => line.startsWith(`${name} `))
        ?.slice(name.length + 1) ?? 0,
    );
  return {
    stalls: value("esgz_stalls_total"),
    "stalled s": Math.round(value("esgz_stall_seconds_total") * 1000) / 1000,
    "background MB": Math.round(value('esgz_fetched_bytes_total{reason="background"}') / 1e5) / 10,
  };
}
