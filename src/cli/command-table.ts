/**
 * The command table.
 *
 * @module
 */
import type { Command } from "commander";
import type { Environment } from "./environment.ts";

/** Adds commands to a program. */
export type RegisterCommands = (program: Command, environment: Environment) => void;

/** Names of commands, and how to come by what adds them. */
export type CommandEntry = readonly [names: readonly string[], load: () => Promise<RegisterCommands>];

/** All commands, in the order of the help. The code of each is loaded when it is asked for. */
export const COMMANDS: readonly CommandEntry[] = [
  [["convert"], async () => (await import("./commands/convert.ts")).registerConvert],
  [["pull"], async () => (await import("./commands/pull.ts")).registerPull],
  [["mount"], async () => (await import("./commands/mount.ts")).registerMount],
  [["umount"], async () => (await import("./commands/umount.ts")).registerUmount],
  [["run"], async () => (await import("./commands/run.ts")).registerRun],
  [["store"], async () => (await import("./commands/store.ts")).registerStore],
  [["top"], async () => (await import("./commands/top.ts")).registerTop],
  [["images"], async () => (await import("./commands/images.ts")).registerImages],
  [["rm"], async () => (await import("./commands/images.ts")).registerRm],
  [["df"], async () => (await import("./commands/df.ts")).registerDf],
  [["prune"], async () => (await import("./commands/df.ts")).registerPrune],
  [["inspect"], async () => (await import("./commands/inspect.ts")).registerInspect],
  [["ls"], async () => (await import("./commands/ls.ts")).registerLs],
  [["cat"], async () => (await import("./commands/cat.ts")).registerCat],
  [["verify"], async () => (await import("./commands/verify.ts")).registerVerify],
  [["daemon"], async () => (await import("./commands/daemon.ts")).registerDaemon],
  [
    ["containerd-stargz-grpc"],
    async () => (await import("./commands/containerd-stargz-grpc.ts")).registerContainerdStargzGrpc,
  ],
  [
    ["stargz-store", "stargz-store-helper"],
    async () => (await import("./commands/stargz-store.ts")).registerStargzStore,
  ],
  [["registry"], async () => (await import("./commands/registry.ts")).registerRegistry],
  [["login"], async () => (await import("./commands/login.ts")).registerLogin],
  [["logout"], async () => (await import("./commands/login.ts")).registerLogout],
  [["doctor"], async () => (await import("./commands/doctor.ts")).registerDoctor],
];
