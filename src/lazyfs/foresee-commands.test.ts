import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../async/index.ts";
import type { FileSpec } from "../tar/make-tar.fixture.ts";
import { halfNoise } from "./fetch.fixture.ts";
import { foreseeProgram } from "./foresee-program.ts";
import { elf, openForeseeBench, program } from "./foresee.fixture.ts";
import { makeElf } from "./make-elf.fixture.ts";

const ENTRYPOINT = `#!/bin/sh
set -e
if [ "\${1#-}" != "$1" ]; then
  set -- server "$@"
fi
if [ "$1" = server -a "$(id -u)" = 0 ]; then
  find . \\! -user server -exec chown server '{}' +
  exec gosu server "$0" "$@"
fi
echo "starting" # never
exec "$@"
`;
const PROGRAMS = ["id", "find", "chown", "gosu", "tini", "echo", "never", "other", "sh", "env"];
const IMAGE: readonly FileSpec[] = [
  ...PROGRAMS.map((name) => program(`bin/${name}`)),
  program("bin/server", { needed: ["libserver.so"] }),
  elf("lib/libserver.so"),
  { name: "entrypoint", content: ENTRYPOINT },
];
const OPTIONS = { env: ["PATH=/usr/bin:/bin", "SERVER=server"], workdir: "/srv" };
const SERVER = ["/bin/server", "/lib/libserver.so"];
const NAMED = ["/bin/sh", "/bin/id", "/bin/find", "/bin/chown", "/bin/gosu", "/entrypoint"];

test("foreseeProgram() follows an entrypoint's script to the command given to it", async (t) => {
  const cases: readonly (readonly [readonly string[], readonly string[]])[] = [
    [
      ["/entrypoint", "server"],
      [...NAMED, ...SERVER],
    ],
    [
      ["/entrypoint", "--port", "1"],
      [...NAMED, ...SERVER],
    ],
    [
      ["/entrypoint", "other"],
      [...NAMED, ...SERVER, "/bin/other"],
    ],
    [
      ["tini", "-g", "--", "/entrypoint", "server"],
      ["/bin/tini", ...NAMED, ...SERVER],
    ],
  ];
  for (const [command, wanted] of cases) {
    await using bench = await openForeseeBench(t, [IMAGE]);
    await bench.foresee({ ...OPTIONS, command });
    assert.deepEqual(bench.present(), wanted.toSorted(), command.join(" "));
  }
});

test("foreseeProgram() follows a command through those that start it", async (t) => {
  const cases: readonly (readonly [readonly string[], readonly string[]])[] = [
    [
      ["tini", "--", "gosu", "nobody:1", "server"],
      ["/bin/tini", "/bin/gosu", ...SERVER],
    ],
    [
      ["env", "-i", "A=b", "server", "other"],
      ["/bin/env", ...SERVER],
    ],
    [
      ["sh", "-c", "exec server --x"],
      ["/bin/sh", ...SERVER],
    ],
    [
      ["sh", "-ec", "cd /; other && $SERVER"],
      ["/bin/sh", "/bin/other", ...SERVER],
    ],
    [
      ["sh", "-c", '"$0" -p', "server"],
      ["/bin/sh", ...SERVER],
    ],
    [
      ["sh", "/entrypoint", "other"],
      [...NAMED, ...SERVER, "/bin/other"],
    ],
    [["other", "server"], ["/bin/other"]],
  ];
  for (const [command, wanted] of cases) {
    await using bench = await openForeseeBench(t, [IMAGE]);
    await bench.foresee({ ...OPTIONS, command });
    assert.deepEqual(bench.present(), wanted.toSorted(), command.join(" "));
  }
});

test("foreseeProgram() brings of what a script may come to only little", async (t) => {
  const large = (name: string, size: number): FileSpec => program(name, { rest: halfNoise(size, 1) });
  const names = Array.from({ length: 8 }, (_, at) => `tool${at}`);
  const files = [
    { name: "start.sh", content: `#!/bin/sh\nhuge\n${names.join("\n")}\nnested\nserver\n` },
    program("bin/sh"),
    large("bin/huge", 1 << 20),
    ...names.map((name) => large(`bin/${name}`, 700 << 10)),
    { name: "bin/nested", content: "#!/bin/sh\nother\n" },
    program("bin/other"),
    large("bin/server", 2 << 20),
  ];
  await using bench = await openForeseeBench(t, [files]);
  await bench.foresee({ ...OPTIONS, command: ["/start.sh"] });
  const [tools, others] = [/^\/bin\/tool/, /^(?!\/bin\/tool)/].map((kind) =>
    bench.present().filter((path) => kind.test(path)),
  );
  assert.deepEqual(others, ["/bin/nested", "/bin/server", "/bin/sh", "/start.sh"]);
  // What fits into 4 MiB.
  assert.equal(tools?.length, 5);
});

test("foreseeProgram() brings small files that a program's words name, and the package of a script for node", async (t) => {
  const files = [
    program("bin/node"),
    program("bin/server", { needed: ["libcrypto.so.3"] }),
    elf("lib/libcrypto.so.3"),
    { name: "etc/ssl/openssl.cnf", content: "settings" },
    { name: "etc/server.conf", content: "settings" },
    { name: "etc/second.conf", content: "settings" },
    { name: "etc/large.conf", content: halfNoise(2 << 20, 1) },
    { name: "srv/app/main.js", content: "code" },
    { name: "srv/app/other.js", content: "code" },
    { name: "srv/package.json", content: "{}" },
  ];
  const config = ["/etc/server.conf", "--include=/etc/second.conf", "/etc/large.conf", "."];
  const cases: readonly (readonly [readonly string[], readonly string[]])[] = [
    [
      ["server", ...config],
      ["/bin/server", "/etc/second.conf", "/etc/server.conf", "/etc/ssl/openssl.cnf", "/lib/libcrypto.so.3"],
    ],
    [
      ["node", "--no-warnings", "app/main"],
      ["/bin/node", "/srv/app/main.js", "/srv/package.json"],
    ],
    [
      ["node", "app/main.js"],
      ["/bin/node", "/srv/app/main.js", "/srv/package.json"],
    ],
    [["node", "--version"], ["/bin/node"]],
  ];
  for (const [command, wanted] of cases) {
    await using bench = await openForeseeBench(t, [files]);
    await bench.foresee({ ...OPTIONS, command });
    assert.deepEqual(bench.present(), wanted, command.join(" "));
  }
});

test("foreseeProgram() ends, whatever scripts start one another", async (t) => {
  const scripts = Array.from({ length: 40 }, (_, at) => ({
    name: `bin/s${at}`,
    content: `#!/bin/sh\n. /bin/s${at + 1}\nexec /bin/s${(at * 7) % 40} "$@" "$@"\nsh -c '/bin/s${at}'\n`,
  }));
  const files = [
    program("bin/sh"),
    ...scripts,
    { name: "bin/self", content: '#!/bin/self\nexec "$0" "$@"\n' },
    { name: "bin/payload", content: `#!/bin/sh\n${"exec other\n".repeat(200_000)}` },
    { name: "bin/binary", content: makeElf({ rest: halfNoise(1000, 1) }) },
  ];
  await using bench = await openForeseeBench(t, [files]);
  let finds = 0;
  const counted = {
    find: (path: string) => {
      finds += 1;
      return bench.files.find(path);
    },
    names: bench.files.names.bind(bench.files),
    runs: bench.files.runs.bind(bench.files),
  };
  const { fetcher } = bench;
  for (const command of [
    ["s0", "a"],
    ["self", "b"],
    ["payload"],
    ["sh", "/bin/binary"],
    ["sh", "-c", "$X"],
  ]) {
    finds = 0;
    const env = [...OPTIONS.env, 'X=sh -c "$X"'];
    await foreseeProgram({ files: counted, fetcher, clock: systemClock, ...OPTIONS, env, command });
    assert.ok(finds <= 2048, `${command.join(" ")}: ${finds}`);
  }
});
