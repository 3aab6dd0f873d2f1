import assert from "node:assert/strict";
import { test } from "node:test";
import { isShellBuiltin, type StartedCommand, startedBy } from "./started-commands.ts";

const words = (...each: string[]): StartedCommand => ({ kind: "words", words: each });
const text = (of: string, ...parameters: string[]): StartedCommand => ({
  kind: "text",
  text: of,
  parameters,
});
const script = (...parameters: string[]): StartedCommand => ({ kind: "script", parameters });

test("startedBy() tells what a command starts", () => {
  const cases: readonly (readonly [readonly string[], StartedCommand | undefined])[] = [
    [["/sbin/tini", "-g", "--", "a", "b"], words("-g", "--", "a", "b")],
    [["gosu", "user", "a"], words("user", "a")],
    [["exec", "-a", "x", "a"], words("-a", "x", "a")],
    [["set", "-e", "--", "a", "b"], words("a", "b")],
    [["set", "-e"], undefined],
    [["find", "/", "-exec", "chown", "a", "{}", "+"], words("chown", "a", "{}", "+")],
    [["find", "/"], undefined],
    [["su", "-", "user", "-c", "a b", "x"], text("a b")],
    [["runuser", "-u", "user", "--", "a"], words("-u", "user", "--", "a")],
    [["sh", "-c", "a b", "zero", "one"], text("a b", "zero", "one")],
    [["/bin/bash", "-euxo", "pipefail", "-c", "a"], text("a")],
    [["bash", "-lce", "a"], text("a")],
    [["bash", "--norc", "+x", "/a", "b"], script("/a", "b")],
    [["sh", "-s"], undefined],
    [["sh", "-c"], undefined],
    [[".", "/a", "b"], script("/a", "b")],
    [["redis-server", "sh"], undefined],
    [[], undefined],
  ];
  for (const [command, wanted] of cases) assert.deepEqual(startedBy(command), wanted, command.join(" "));
});

test("isShellBuiltin() tells what a shell does itself", () => {
  assert.deepEqual(["echo", "[", "test", ".", "chown", "find", ""].map(isShellBuiltin), [
    true,
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
});
