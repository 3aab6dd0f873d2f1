/**
 * The command table.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { registerCat } from "./commands/cat.ts";
import { registerConvert } from "./commands/convert.ts";
import { registerDoctor } from "./commands/doctor.ts";
import { registerInspect } from "./commands/inspect.ts";
import { registerLogin, registerLogout } from "./commands/login.ts";
import { registerLs } from "./commands/ls.ts";
import { registerPull } from "./commands/pull.ts";
import { registerRegistry } from "./commands/registry.ts";
import { registerVerify } from "./commands/verify.ts";
import type { Environment } from "./environment.ts";

const EPILOGUE = `
Image names: REGISTRY/REPOSITORY[:TAG][@DIGEST] (docker.io where no registry is named), oci:DIR[:TAG],
docker-archive:FILE[:REF], dir:DIR.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 access denied, 5 content does not verify,
6 registry unreachable, 7 not supported, 8 disk trouble, 130 interrupted. What failed is said on stderr; with --json
as one line, {"error":{"code":...,"message":...,"status":...}}.`;

/** The program with all its commands. */
export function createProgram(environment: Environment): Command {
  const program = new Command("esgz")
    .description("Make, serve, pull and read eStargz container images")
    .version(packageVersion(), "-V, --version")
    .addHelpText("after", EPILOGUE)
    .showSuggestionAfterError()
    // The entry point says what is wrong, in one way for all failures.
    .configureOutput({ outputError: () => undefined })
    .exitOverride();
  const register = [
    registerConvert,
    registerPull,
    registerInspect,
    registerLs,
    registerCat,
    registerVerify,
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
