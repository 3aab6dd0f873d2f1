/**
 * Runs a container in a process of its own: `node container-child.fixture.ts RESULT OPTIONS`, both as JSON files. Signals of
 * the process go to the container.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { isEsgzError, messageOf } from "../errors/index.ts";
import { runContainer } from "./run-container.ts";
import type { RunContainerOptions } from "./run-options.ts";

const [optionsPath = "", resultPath = ""] = process.argv.slice(2);
const options: Omit<RunContainerOptions, "host"> & { host: { path: string } } = JSON.parse(
  readFileSync(optionsPath, "utf8"),
);
const notes: string[] = [];
const uid = process.getuid?.() ?? 0;
const gid = process.getgid?.() ?? 0;
const { columns, rows, isTTY } = process.stdout;
const result = await runContainer({
  ...options,
  terminalSize: isTTY ? { columns, rows } : undefined,
  host: { ...options.host, uid, gid },
  signals: process,
  onNote: (text) => notes.push(text),
}).catch((error: unknown) => ({
  message: messageOf(error),
  details: isEsgzError(error) ? error.details : undefined,
}));
writeFileSync(resultPath, JSON.stringify({ ...result, notes }));
