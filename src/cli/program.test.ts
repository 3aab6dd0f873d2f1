import assert from "node:assert/strict";
import { test } from "node:test";
import { COMMANDS } from "./command-table.ts";
import { processEnvironment } from "./environment.ts";
import { createProgram } from "./program.ts";

const environment = processEnvironment(new AbortController().signal);

test("createProgram() makes only the commands of the entry that the first word names", async () => {
  for (const [names] of COMMANDS)
    for (const name of names) assert.deepEqual(await namesFor(name, "pull"), names);
});

test("createProgram() makes all commands for help, for a word that names none, and for options", async () => {
  const all = COMMANDS.flatMap(([names]) => names);
  for (const word of ["help", "--help", "pul", "--store", ""]) assert.deepEqual(await namesFor(word), all);
  assert.deepEqual(await namesFor(), all);
});

test("createProgram() makes no command to tell its version", async () => {
  assert.deepEqual(await namesFor("--version"), []);
  assert.deepEqual(await namesFor("-V"), []);
});

async function namesFor(...words: readonly string[]): Promise<string[]> {
  const program = await createProgram(environment, words);
  return program.commands.map((command) => command.name());
}
