/** Writes docs/cli.md. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cliReference } from "../src/cli/cli-reference.ts";
import { processEnvironment } from "../src/cli/environment.ts";
import { createProgram } from "../src/cli/program.ts";

const program = await createProgram(processEnvironment(new AbortController().signal));
writeFileSync(join(import.meta.dirname, "cli.md"), cliReference(program));
