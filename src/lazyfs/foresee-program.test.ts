import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { concatBytes, encodeUtf8 } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { FileSpec } from "../tar/make-tar.fixture.ts";
import { halfNoise } from "./fetch.fixture.ts";
import type { ForeseeOptions } from "./foresee-program.ts";
import {
  BASE,
  BASE_FILES,
  CHUNK,
  elf,
  ENV,
  LIBRARIES,
  link,
  openForeseeBench,
  program,
} from "./foresee.fixture.ts";
import type { ForeseenFilesOptions } from "./foreseen-files.ts";
import { makeElf } from "./make-elf.fixture.ts";

const MIB = 1 << 20;

test("foreseeProgram() brings a script's interpreter with its libraries, and nothing else", async (t) => {
  const app = [
    { name: "app/start", content: "#!/usr/bin/env interp -x\nprint()\n" },
    { name: "app/module", content: "import nothing\n" },
    link("usr/local/bin/interp", "/opt/interp/bin/interp-3"),
    program("opt/interp/bin/interp-3", {
      needed: ["libmain.so", "libmissing.so"],
      runpath: "$ORIGIN/../lib",
    }),
    elf("opt/interp/lib/libmain.so", { needed: ["libloop.so", "libm.so.6"], runpath: "${ORIGIN}" }),
    elf("opt/interp/lib/libloop.so", { needed: ["libmain.so", "libloop.so"], runpath: "/nowhere:$ORIGIN" }),
    elf("opt/interp/lib/libunused.so"),
  ];
  await using bench = await openForeseeBench(t, [BASE, app]);
  const report = await bench.foresee({ command: ["./start"], workdir: "/app" });
  const wanted = [
    ...BASE_FILES,
    "/app/start",
    "/opt/interp/bin/interp-3",
    "/opt/interp/lib/libloop.so",
    "/opt/interp/lib/libmain.so",
    "/usr/bin/env",
    `/${LIBRARIES}/libm.so.6`,
  ];
  assert.deepEqual(bench.present(), wanted.toSorted());
  const sizes = wanted.map((path) => bench.files.find(path)?.size ?? 0);
  assert.deepEqual(report, { files: 9, bytes: sizes.reduce((sum, size) => sum + size, 0) });
  assert.equal(bench.fetcher.statistics().stalls, 0);
  const asked = bench.registry.asked.length;
  await bench.foresee({ command: ["./start"], workdir: "/app" });
  assert.equal(bench.registry.asked.length, asked, "what is there is not asked for again");
});

test("foreseeProgram() finds a program as the process would", async (t) => {
  const cases: readonly (readonly [
    Partial<ForeseeOptions> & Pick<ForeseeOptions, "command">,
    readonly string[],
  ])[] = [
    [{ command: ["/usr/bin/one"], workdir: "/app" }, ["/usr/bin/one"]],
    [{ command: ["one"], workdir: "/app" }, ["/usr/bin/one"]],
    [{ command: ["one"], env: [...ENV, "PATH=relative::/app"] }, ["/app/one"]],
    [{ command: ["one"], env: ["PATH"] }, []],
    [{ command: ["sub/one"], workdir: "/app" }, ["/app/sub/one"]],
    [{ command: ["app/one"] }, ["/app/one"]],
    [{ command: ["../app/one"], workdir: "srv" }, ["/app/one"]],
    [{ command: ["/usr/bin"] }, []],
    [{ command: ["none"] }, []],
    [{ command: [""] }, []],
    [{ command: [] }, []],
    [{ command: ["wrapped"] }, ["/usr/bin/one", "/usr/bin/wrapped", "/usr/bin/env"]],
  ];
  const files: readonly FileSpec[] = [
    { name: "srv/" },
    { name: "usr/local/bin/one/" },
    program("usr/bin/one"),
    program("usr/bin/env"),
    { name: "usr/bin/wrapped", content: "#!/usr/bin/env -S A=b one -u" },
    { name: "app/one", content: "#!" },
    { name: "app/sub/one", content: "text" },
  ];
  for (const [options, wanted] of cases) {
    await using bench = await openForeseeBench(t, [files]);
    await bench.foresee(options);
    assert.deepEqual(bench.present(), wanted.toSorted(), JSON.stringify(options));
  }
});

test("foreseeProgram() looks for libraries where the user says first", async (t) => {
  const files = [
    program("usr/bin/one", { needed: ["liba.so", "/opt/libb.so", "sub/libc.so"] }),
    elf("given/liba.so"),
    elf("usr/lib/liba.so"),
    elf("opt/libb.so"),
    elf("sub/libc.so"),
  ];
  await using bench = await openForeseeBench(t, [files]);
  await bench.foresee({ command: ["one"], env: [...ENV, "LD_LIBRARY_PATH=:given:/given"] });
  assert.deepEqual(bench.present(), ["/given/liba.so", "/opt/libb.so", "/usr/bin/one"]);
});

test("foreseeProgram() brings what Python reads first", async (t) => {
  const library = "usr/lib/python3.11";
  const files = [
    link("usr/bin/python3", "python3.11"),
    program("usr/bin/python3.11"),
    { name: `${library}/os.py`, content: "source" },
    { name: `${library}/__pycache__/os.cpython-311.pyc`, content: "compiled" },
    { name: `${library}/__pycache__/json.cpython-311.pyc`, content: "not everybody's" },
    { name: `${library}/encodings/__pycache__/utf_8.cpython-311.pyc`, content: "compiled" },
  ];
  await using bench = await openForeseeBench(t, [files]);
  await bench.foresee({ command: ["python3", "-c", "print()"] });
  assert.deepEqual(bench.present(), [
    "/usr/bin/python3.11",
    `/${library}/__pycache__/os.cpython-311.pyc`,
    `/${library}/encodings/__pycache__/utf_8.cpython-311.pyc`,
  ]);
});

test("foreseeProgram() brings what nginx is configured with, and the modules that it loads", async (t) => {
  const lower = [
    program("usr/sbin/nginx"),
    { name: "etc/nginx/nginx.conf", content: "include /etc/nginx/modules-enabled/*.conf;\n" },
    { name: "etc/nginx/fastcgi.conf", content: "not everybody's" },
    { name: "etc/nginx/sites-available/default", content: "server {}\n" },
    { name: "etc/nginx/sites-available/other", content: "server {}\n" },
    link("etc/nginx/sites-enabled/default", "../sites-available/default"),
    link("etc/nginx/sites-enabled/nowhere", "../sites-available/nowhere"),
  ];
  const upper = [
    { name: "etc/nginx/conf.d/own.conf", content: "load_module other.so;\n" },
    link("etc/nginx/modules-enabled/50-echo.conf", "/usr/share/nginx/modules-available/echo.conf"),
    {
      name: "usr/share/nginx/modules-available/echo.conf",
      content: '# load_module no.so;\nload_module modules/echo.so;\n load_module "/opt/absolute.so" ;\n',
    },
    link("usr/share/nginx/modules", "../../lib/nginx/modules"),
    elf("usr/lib/nginx/modules/echo.so", { needed: ["libecho.so"] }),
    elf("usr/lib/nginx/modules/no.so"),
    elf("usr/lib/libecho.so"),
    elf("opt/absolute.so"),
    elf("etc/nginx/other.so"),
  ];
  await using bench = await openForeseeBench(t, [lower, upper]);
  await bench.foresee({ command: ["nginx"], env: ["PATH=/usr/sbin"] });
  assert.deepEqual(bench.present(), [
    "/etc/nginx/conf.d/own.conf",
    "/etc/nginx/nginx.conf",
    "/etc/nginx/other.so",
    "/etc/nginx/sites-available/default",
    "/opt/absolute.so",
    "/usr/lib/libecho.so",
    "/usr/lib/nginx/modules/echo.so",
    "/usr/sbin/nginx",
    "/usr/share/nginx/modules-available/echo.conf",
  ]);
});

test("foreseeProgram() looks at some of the files in a directory, however many there are", async (t) => {
  const many = Array.from({ length: 300 }, (_, at) => `etc/nginx/conf.d/${at}.conf`);
  const text = `load_module absent.so;\n`.repeat(1000);
  const sites = many.map((name) => ({ name, content: text }));
  await using bench = await openForeseeBench(t, [[program("usr/bin/nginx"), ...sites]]);
  const { files } = await bench.foresee({ command: ["nginx"] });
  assert.equal(files, 65);
});

test("foreseeProgram() brings a large program whole, and of another large file only its beginning", async (t) => {
  const rest = halfNoise(9 * MIB, 1);
  const script = concatBytes([encodeUtf8("#!/usr/bin/large\n"), rest]);
  const files = [
    program("usr/bin/large", { needed: ["liba.so"], rest }),
    { name: "usr/bin/script", content: script, mode: 0o755 },
    { name: "usr/lib/liba.so", content: concatBytes([makeElf(), rest.subarray(0, 8 * MIB - 4096)]) },
  ];
  await using bench = await openForeseeBench(t, [files]);
  await bench.foresee({ command: ["script"] });
  assert.deepEqual(bench.present(), ["/usr/bin/large", "/usr/lib/liba.so"]);
  const large = bench.files.find("/usr/bin/script");
  assert.ok(large !== undefined);
  const filled = Array.from({ length: Math.ceil(large.size / CHUNK) }, (_, at) => {
    const range = { offset: at * CHUNK, size: Math.min(CHUNK, large.size - at * CHUNK) };
    return Array.from(bench.files.runs(large, range)).every((run) => run.layer.isFilled(run.range));
  });
  assert.equal(filled.lastIndexOf(true), 15);
  assert.ok(filled.slice(0, 16).every(Boolean));
});

test("foreseeProgram() leaves to the readers what cannot be fetched", async (t) => {
  const app = [program("app/one", { needed: ["libc.so.6"] })];
  await using bench = await openForeseeBench(t, [BASE, app]);
  bench.registry.faultOf = () => ({ kind: "status", status: 404 });
  await bench.foresee({ command: ["/app/one"] });
  assert.deepEqual(bench.present(), []);
  bench.registry.faultOf = () => undefined;
  await bench.foresee({ command: ["/app/one"] });
  assert.deepEqual(bench.present(), [...BASE_FILES, "/app/one"].toSorted());
});

test("foreseeProgram() leaves out what metadata has wrong", async (t) => {
  await using bench = await openForeseeBench(t, [BASE]);
  const broken: ForeseenFilesOptions["files"] = {
    find: (path) => {
      if (path.includes("passwd")) throw new EsgzError("EROFS_INVALID", "Cannot read it");
      return bench.files.find(path);
    },
    names: (path, limit) => bench.files.names(path, limit),
    runs: function* (file, range) {
      yield* bench.files.runs(file, range);
      if (file.path.endsWith("libc.so.6")) throw new EsgzError("EROFS_INVALID", "Cannot read it");
    },
  };
  await bench.foresee({ command: ["env"], files: broken });
  assert.ok(bench.present().includes("/usr/lib64/ld-linux-x86-64.so.2"));
  assert.ok(!bench.present().includes("/etc/passwd"));
});

test("foreseeProgram() rejects when it is aborted, and not before all its work has ended", async (t) => {
  await using bench = await openForeseeBench(t, [BASE]);
  const [asked, ending] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  bench.registry.faultOf = () => {
    asked.resolve();
    return { kind: "hold", after: 0, until: ending.promise };
  };
  const controller = new AbortController();
  const { signal } = controller;
  let running = 0;
  let calls = 0;
  const fetcher: ForeseeOptions["fetcher"] = {
    ensure: async (...args) => {
      running += 1;
      const turns = (calls += 1);
      try {
        await bench.fetcher.ensure(...args);
      } finally {
        // One ends after the other.
        for (let turn = 0; turn < turns; turn += 1) await setImmediate();
        running -= 1;
      }
    },
  };
  const foreseen = bench.foresee({ command: ["env"], fetcher, signal });
  await asked.promise;
  assert.ok(running > 1);
  const reason = new Error("nobody wants it");
  controller.abort(reason);
  await assert.rejects(foreseen, (error) => error === reason);
  assert.equal(running, 0);
  ending.resolve();
  await assert.rejects(bench.foresee({ command: ["env"], signal }), (error) => error === reason);
});

test("foreseeProgram() looks for no more than it can find quickly, whatever an image wants", async (t) => {
  const names = Array.from({ length: 250 }, (_, at) => `lib${at}.so`);
  const runpath = Array.from({ length: 700 }, (_, at) => `/d${at}`).join(":");
  const files = [
    program("usr/bin/greedy", { needed: names, runpath }),
    ...names.map((name) => elf(`usr/local/lib/${name}`, { needed: names, runpath })),
    { name: "usr/bin/loop", content: "#!/usr/bin/loop2" },
    { name: "usr/bin/loop2", content: "#!/usr/bin/env loop" },
    { name: "usr/bin/env", content: "#! /usr/bin/env env" },
  ];
  await using bench = await openForeseeBench(t, [files]);
  let finds = 0;
  const counted: ForeseenFilesOptions["files"] = {
    find: (path) => {
      finds += 1;
      return bench.files.find(path);
    },
    names: (path, limit) => bench.files.names(path, limit),
    runs: (file, range) => bench.files.runs(file, range),
  };
  await bench.foresee({ command: ["greedy"], files: counted });
  assert.equal(finds, 2048);
  await bench.foresee({
    command: ["loop"],
    files: counted,
    env: [`PATH=${"/none:".repeat(100_000)}/usr/bin`],
  });
  assert.equal(finds, 2 * 2048);
  await bench.foresee({ command: ["loop"] });
  assert.ok(
    ["/usr/bin/env", "/usr/bin/loop", "/usr/bin/loop2"].every((path) => bench.present().includes(path)),
  );
});

test("foreseeProgram() brings no more files, and no more bytes, than a program needs that starts fast", async (t) => {
  const names = Array.from({ length: 250 }, (_, at) => `lib${at}.so`);
  const small = names.map((name, at) => elf(`lib64/${name}`, { needed: [`more${at}.so`] }));
  const more = names.map((_, at) => elf(`lib64/more${at}.so`));
  await using bench = await openForeseeBench(t, [
    [program("usr/bin/many", { needed: names }), ...small, ...more],
  ]);
  await bench.foresee({ command: ["many"] });
  assert.equal(bench.present().length, 256);
  const content = concatBytes([makeElf(), new Uint8Array(8 * MIB - 4096)]);
  const large = names.slice(0, 14).map((name) => ({ name: `lib64/${name}`, content }));
  const needed = large.map(({ name }) => name.slice("lib64/".length));
  await using heavy = await openForeseeBench(t, [[program("usr/bin/heavy", { needed }), ...large]]);
  await heavy.foresee({ command: ["heavy"] });
  assert.equal(heavy.present().length, 1 + 12);
});
