/**
 * `esgz doctor`: what this machine has of what esgz can use.
 *
 * @module
 */
import type { Command } from "commander";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import { examineMachine } from "../doctor-report.ts";
import type { Environment } from "../environment.ts";
import { formatTable } from "../format.ts";

const MARKS = { yes: "ok", limited: "limited", no: "missing" } as const;

/** Adds the command. */
export function registerDoctor(program: Command, environment: Environment): void {
  addSharedFlags(program.command("doctor"))
    .description("say what this machine has: node, libdeflate, root, fuse, erofs, overlay, runtimes")
    .action(async (flags: SharedFlags) => run(new CommandContext(environment, flags)));
}

async function run(context: CommandContext): Promise<void> {
  const { probeLibdeflate } = await import("../../estargz/index.ts");
  const findings = examineMachine({
    variables: context.environment.variables,
    libdeflate: probeLibdeflate(),
    isRoot: process.geteuid?.() === 0,
    nodeVersion: process.versions.node,
  });
  const rows = findings.map(({ name, state, detail }) => [name, MARKS[state], detail]);
  await context.print(findings, formatTable(rows));
}
