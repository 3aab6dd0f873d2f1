/**
 * The command line's reference page, from the command table.
 *
 * @module
 */
import type { Command } from "commander";

const WIDTH = 110;

/** The page as Markdown: the program's help, then each command's. */
export function cliReference(program: Command): string {
  const pages = program.commands
    .filter((command) => command.name() !== "help")
    .map((command) => `## esgz ${command.name()}\n\n${helpOf(command)}`);
  const head = "# The command line\n\nWritten by `npm run reference` from the command table; do not edit.\n";
  return `${head}\n${helpOf(program)}\n${pages.join("\n")}`;
}

function helpOf(command: Command): string {
  let text = "";
  const write = (more: string): void => void (text += more);
  command.configureOutput({ writeOut: write, writeErr: write, getOutHelpWidth: () => WIDTH });
  command.outputHelp();
  return `\`\`\`text\n${text.trim()}\n\`\`\`\n`;
}
