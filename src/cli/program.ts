/**
 * The command table.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { Command } from "commander";
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
import { addStoreFlag } from "./store-location.ts";

const EPILOGUE = `
Image names: REGISTRY/REPOSITORY[:TAG][@DIGEST] (docker.io where no registry is named), oci:DIR[:TAG],
docker-archive:FILE[:REF], dir:DIR.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 access denied, 5 content does not verify,
6 registry or daemon unreachable, 7 not supported, 8 disk trouble, 130 interrupted. What failed is said on stderr; with --json
as one line, {"error":{"code":...,"message":...,"status":...}}.`;

/** The program with all its commands. */
export function createProgram(environment: Environment): Command {
  const program = addStoreFlag(new Command("esgz"))
    .description("Make, serve, pull, mount and run eStargz container images")
    // What follows the image of `run` is not ours.
    .enablePositionalOptions()
    .version(packageVersion(), "-V, --version")
    .addHelpText("after", EPILOGUE)
    .showSuggestionAfterError()
    // The entry point says what is wrong, in one way for all failures.
    .configureOutput({ outputError: () => undefined })
    .exitOverride();
  const register = [
    registerConvert,
    registerPull,
    registerMount,
    registerUmount,
    registerRun,
    registerStore,
    registerTop,
    registerImages,
    registerRm,
    registerDf,
    registerPrune,
    registerInspect,
    registerLs,
    registerCat,
    registerVerify,
    registerDaemon,
    registerContainerdStargzGrpc,
    registerStargzStore,
    registerRegistry,
    registerLogin,
    registerLogout,
    registerDoctor,
  ];
  for (const add of register) add(program, environment);
  for (const command of program.commands) command.exitOverride();
  return program;
}

function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const { version } = JSON.parse(text) as { version: string };
  return version;
}
