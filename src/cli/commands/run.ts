/**
 * `esgz run`: a command in an image, before the image is downloaded.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { CommandContext, type SharedFlags } from "../command-context.ts";
import { addPullFlag, type ImageRequestFlags } from "../daemon-access.ts";
import type { Environment } from "../environment.ts";
import { collect, addRegistryFlags } from "../registry-access.ts";
import { addStoreFlag } from "../store-location.ts";
import type { VariableFlags } from "../variables.ts";

/** Options of `run`. */
export interface RunFlags extends SharedFlags, ImageRequestFlags, VariableFlags {
  readonly volume?: readonly string[];
  readonly workdir?: string;
  readonly user?: string;
  readonly entrypoint?: string;
  readonly network: "host" | "none";
  readonly rm?: boolean;
  readonly tty?: boolean;
  readonly interactive?: boolean;
  readonly hostname?: string;
  readonly readOnly?: boolean;
  readonly runtime?: "runc" | "crun" | "none";
  readonly name?: string;
  readonly prefetch: boolean;
  readonly background?: boolean;
}

const EPILOGUE = `
All words after the image belong to the command. Its exit status becomes that of esgz; 125 if it could not be started,
126 and 127 if it cannot be run or is not there, 128 + n if signal n ended it.

Examples:
  esgz run --rm python:3.13 python -c 'print(1)'
  esgz run --rm -it -v .:/work -w /work ghcr.io/org/tools:1 bash
  esgz run --rm -e TOKEN --network none ghcr.io/org/app:1`;

/** Adds the command. */
export function registerRun(program: Command, environment: Environment): void {
  const command = addStoreFlag(addPullFlag(addRegistryFlags(program.command("run"))))
    .description("run a command in an image, before it is downloaded, with a writable layer over it")
    .argument("<image>", "image to run")
    .argument("[command...]", "command with its arguments (default: the image's)")
    // Its standard output is the command's.
    .option("--json", "print how it ended as JSON on stderr")
    .option("-q, --quiet", "no progress on stderr");
  addContainerFlags(command)
    .option("--platform <os/arch>", "platform to run (default: this machine's)")
    .option("--no-prefetch", "do not fetch first what the image says, or its program needs")
    .option("--background", "fetch the rest while the link is idle (default: as the daemon is configured)")
    .option("--no-background", "fetch only what is read")
    .addHelpText("after", EPILOGUE)
    .passThroughOptions()
    .action(async (image: string, words: readonly string[], flags: RunFlags, self: Command) => {
      const { runImage } = await import("../run-image.ts");
      await runImage(new CommandContext(environment, flags), { image, words, flags, command: self });
    });
}

function addContainerFlags(command: Command): Command {
  return command
    .option("-e, --env <name=value>", "variable; NAME alone takes the value from here (repeatable)", collect)
    .option("--env-file <file>", "file of such lines (repeatable)", collect)
    .option(
      "-v, --volume <host:path>",
      "directory or file of this machine, :ro to read only (repeatable)",
      collect,
    )
    .option("-w, --workdir <path>", "directory to start in (default: the image's)")
    .option("-u, --user <user>", "name or id, with :group (default: the image's)")
    .option("--entrypoint <program>", "instead of the image's; its command is left out, too")
    .addOption(
      new Option("--network <kind>", "this machine's network, or none")
        .choices(["host", "none"])
        .default("host"),
    )
    .option("--rm", "remove the writable layer at the end (default: kept until `esgz prune`)")
    .option("-t, --tty", "with a terminal")
    .option("-i, --interactive", "with standard input")
    .option("--hostname <name>", "name of the machine inside (default: a random one)")
    .option("--read-only", "its root cannot be written")
    .addOption(
      new Option("--runtime <name>", "what starts it (default: the first that is there)").choices([
        "runc",
        "crun",
        "none",
      ]),
    )
    .option("--name <name>", "name of the container, and of the machine inside");
}
