/**
 * The command table.
 *
 * @module
 */
import type { Command } from "commander";
import { registerCat } from "./commands/cat.ts";
import { registerContainerdStargzGrpc } from "./commands/containerd-stargz-grpc.ts";
import { registerConvert } from "./commands/convert.ts";
import { registerDaemon } from "./commands/daemon.ts";
import { registerDf, registerPrune } from "./commands/df.ts";
import { registerDoctor } from "./commands/doctor.ts";
import { registerImages, registerRm } from "./commands/images.ts";
import { registerInspect } from "./commands/inspect.ts";
import { registerLogin, registerLogout } from "./commands/login.ts";
import { registerLs } from "./commands/ls.ts";
import { registerMount } from "./commands/mount.ts";
import { registerPull } from "./commands/pull.ts";
import { registerRegistry } from "./commands/registry.ts";
import { registerRun } from "./commands/run.ts";
import { registerStargzStore } from "./commands/stargz-store.ts";
import { registerStore } from "./commands/store.ts";
import { registerTop } from "./commands/top.ts";
import { registerUmount } from "./commands/umount.ts";
import { registerVerify } from "./commands/verify.ts";
import type { Environment } from "./environment.ts";

/** Names of commands, and what adds them to a program. */
export type CommandEntry = readonly [
  names: readonly string[],
  register: (program: Command, environment: Environment) => void,
];

/** All commands, in the order of the help. */
export const COMMANDS: readonly CommandEntry[] = [
  [["convert"], registerConvert],
  [["pull"], registerPull],
  [["mount"], registerMount],
  [["umount"], registerUmount],
  [["run"], registerRun],
  [["store"], registerStore],
  [["top"], registerTop],
  [["images"], registerImages],
  [["rm"], registerRm],
  [["df"], registerDf],
  [["prune"], registerPrune],
  [["inspect"], registerInspect],
  [["ls"], registerLs],
  [["cat"], registerCat],
  [["verify"], registerVerify],
  [["daemon"], registerDaemon],
  [["containerd-stargz-grpc"], registerContainerdStargzGrpc],
  [["stargz-store", "stargz-store-helper"], registerStargzStore],
  [["registry"], registerRegistry],
  [["login"], registerLogin],
  [["logout"], registerLogout],
  [["doctor"], registerDoctor],
];
