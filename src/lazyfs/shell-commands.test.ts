import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { shellCommands } from "./shell-commands.ts";

const SETTING = {
  parameters: ["/start", "server", "--port", "1 2"],
  variables: new Map([
    ["HOME", "/srv"],
    ["EMPTY", ""],
    ["LONG", "x".repeat(4000)],
  ]),
};
const commandsOf = (text: string) => shellCommands(text, SETTING);

test("shellCommands() finds commands wherever a shell would", () => {
  const cases: readonly (readonly [string, readonly (readonly string[])[]])[] = [
    ["", []],
    ["a", [["a"]]],
    ["a b;c&d|e&&f||g\nh", [["a", "b"], ["c"], ["d"], ["e"], ["f"], ["g"], ["h"]]],
    ["if ! a; then b; elif c; then d; else e; fi", [["a"], ["b"], ["c"], ["d"], ["e"]]],
    ["while a; do { b; }; done; (c; d)", [["a"], ["b"], ["c"], ["d"]]],
    ["f() {\n  a\n}\nfunction g {\n b; }", [["a"], ["b"]]],
    ["for x in a b; do c; done", [["c"]]],
    ['case "$1" in a|b) c ;; d) e;; *) f;; esac', [["c"], ["e"], ["f"]]],
    ["A=b C='d e' f g=h", [["f", "g=h"]]],
    ["a=(b c) d", [["b", "c"], ["d"]]],
    ["a # b\n#!c\nd#e", [["a"], ["d#e"]]],
    ["a \\\n  b", [["a", "b"]]],
    ["a >b 2>&1 <c >>d e", [["a", "2", "e"]]],
    ["a <<<b c", [["a", "c"]]],
    ["a <<E - <<-'F F'; b\nc\nE\nd\n\tF F\ne", [["a", "-"], ["b"], ["e"]]],
    ["a <<E\nb", [["a"]]],
  ];
  for (const [text, wanted] of cases) assert.deepEqual(commandsOf(text), wanted, text);
});

test("shellCommands() finds commands in substitutions, before the one around them", () => {
  const cases: readonly (readonly [string, readonly (readonly string[])[]])[] = [
    ['a "$(b "$(c)" d)" e', [["c"], ["b", "", "d"], ["a", "", "e"]]],
    ['x="$(a)"; y=z$(b)c d', [["a"], ["b"], ["d"]]],
    [
      "a `b c` d",
      [
        ["b", "c"],
        ["a", "", "d"],
      ],
    ],
    ['a "`b`" c', [["b"], ["a", "", "c"]]],
    ["a `b $(c` d", [["c"], ["b", ""], ["a", "", "d"]]],
    ["a <(b) c", [["b"], ["c"]]],
    ["a $((1 << 2)) b\nc", [["a", "", "b"], ["c"]]],
    ["a '$(b)'", [["a", "$(b)"]]],
  ];
  for (const [text, wanted] of cases) assert.deepEqual(commandsOf(text), wanted, text);
});

test("shellCommands() puts in what is known of words", () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['exec "$@"', ["exec", "server", "--port", "1 2"]],
    ["exec $* x", ["exec", "server", "--port", "1 2", "x"]],
    ['a "b${@}c"', ["a", "bserver", "--port", "1 2c"]],
    ["a $0 ${1} $9", ["a", "/start", "server", ""]],
    ["$HOME/bin ${HOME}/x $NONE/y", ["/srv/bin", "/srv/x", ""]],
    ["${NONE:-server} ${NONE-x} ${HOME:-x} ${1#-}", ["server", "x", "/srv", ""]],
    ['a"b c"\'d $e\'\\ f "\\$g"', ["ab cd $e f", "$g"]],
    ["a $ $/ '' \"", ["a", "$", "$/", "", ""]],
    ["a $LONG$HOME $LONG$LONG", ["a", `${"x".repeat(4000)}/srv`, ""]],
  ];
  for (const [text, wanted] of cases) assert.deepEqual(commandsOf(text), [wanted], text);
  assert.deepEqual(shellCommands('"$@"', { parameters: ["/start"], variables: new Map() }), []);
});

test("shellCommands() gives little for much text", () => {
  assert.equal(commandsOf("a;".repeat(10_000)).length, 512);
  assert.equal(commandsOf('"$@" '.repeat(10_000))[0]?.length, 64);
  assert.deepEqual(commandsOf(`a${"$(b ".repeat(10_000)}`).at(-1), [""]);
  for (const part of ["`", "(", ")", "<<a ", "'", '"', "${", "$((", "<", "\\", "case ", "`$(", "$(`"]) {
    assert.ok(commandsOf(part.repeat(20_000)).length <= 512, part);
  }
});

test("shellCommands() takes any text", () => {
  const piece = fc.constantFrom(
    ..."ab $(){}`'\"\\\n;&|<>#@1=-!".split(""),
    "<<",
    "case ",
    " in ",
    "${",
    "if ",
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 200 }).map((pieces) => pieces.join("")),
  );
  fc.assert(
    fc.property(text, (any) => {
      for (const command of commandsOf(any)) assert.ok(command.length > 0 && command.length <= 64);
    }),
  );
});
