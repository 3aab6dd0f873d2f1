import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes } from "../bytes/index.ts";
import type { FileSpec } from "../tar/make-tar.fixture.ts";
import { halfNoise } from "./fetch.fixture.ts";
import { CHUNK, elf, link, openForeseeBench, program } from "./foresee.fixture.ts";
import { makeElf } from "./make-elf.fixture.ts";
import { makeJavaModules, type ModuleResource } from "./make-java-modules.fixture.ts";

const MIB = 1 << 20;
const GCC = "usr/lib/gcc/x86_64-linux-gnu/12";
const MACHINE = "usr/include/x86_64-linux-gnu";
const text = (name: string, content: string): FileSpec => ({ name, content });

const C_IMAGE: readonly FileSpec[] = [
  link("usr/bin/gcc", "x86_64-linux-gnu-gcc-12"),
  program("usr/bin/x86_64-linux-gnu-gcc-12"),
  program("usr/bin/x86_64-linux-gnu-g++-12"),
  link("usr/bin/as", "x86_64-linux-gnu-as"),
  program("usr/bin/x86_64-linux-gnu-as", { needed: ["libopcodes.so"] }),
  elf("usr/lib/libopcodes.so"),
  program("usr/bin/ld"),
  program(`${GCC}/cc1`),
  program(`${GCC}/cc1plus`),
  program(`${GCC}/collect2`),
  program(`${GCC}/lto1`),
  program("usr/lib/gcc/x86_64-linux-gnu/11/cc1"),
  text(`${GCC}/crtbeginS.o`, "begins"),
  text(`${GCC}/crtbeginT.o`, "begins others"),
  { name: `${GCC}/libgcc.a`, content: halfNoise(2 * MIB, 2) },
  text("usr/lib/x86_64-linux-gnu/crti.o", "begins"),
  text(`${GCC}/include/stddef.h`, "typedef int size_t;\n"),
  text("usr/include/stdc-predef.h", "#define A\n"),
  text("usr/include/stdio.h", "#ifdef B\n # include <bits/types.h>\n#endif\n#include <stddef.h>\n"),
  text("usr/include/math.h", "#include <nobody.h>\n"),
  text(`${MACHINE}/bits/types.h`, '#include <stdio.h>\n#include "../sys.h"\n'),
  text(`${MACHINE}/sys.h`, "#include <none.h>\n"),
  text("usr/include/c++/12/iostream", "#include <stdio.h>\n"),
  text("src/main.c", '#include "own.h"\n#\tinclude <stdio.h> // all\n"#include <math.h>"\n'),
  text("src/own.h", "// #include <math.h>\n#include <given.h>\n"),
  text("src/given/given.h", "int x;\n"),
  text("src/main.cc", "#include <iostream>\n"),
  text("root.c", '#include "beside.h"\n'),
  text("beside.h", "int y;\n"),
];
const AS = ["/usr/bin/x86_64-linux-gnu-as", "/usr/lib/libopcodes.so"];
const STDIO = [
  `/${GCC}/include/stddef.h`,
  `/${MACHINE}/bits/types.h`,
  `/${MACHINE}/sys.h`,
  "/usr/include/stdc-predef.h",
  "/usr/include/stdio.h",
];
const LINKED = [
  `/${GCC}/collect2`,
  `/${GCC}/crtbeginS.o`,
  `/${GCC}/libgcc.a`,
  "/usr/bin/ld",
  "/usr/lib/x86_64-linux-gnu/crti.o",
];

test("foreseeProgram() brings what compilers of C start and include", async (t) => {
  const gcc = ["/usr/bin/x86_64-linux-gnu-gcc-12"];
  const c = [...gcc, `/${GCC}/cc1`, ...STDIO, "/src/main.c", "/src/own.h"];
  const cases: readonly (readonly [readonly string[], readonly string[]])[] = [
    [
      ["gcc", "-O2", "-isystem", "given", "-Inone", "-o", "/tmp/a", "main.c"],
      [...c, ...AS, ...LINKED, "/src/given/given.h"],
    ],
    [
      ["gcc", "-c", "/src/main.c"],
      [...c, ...AS],
    ],
    [["gcc", "-E", "/src/main.c"], c],
    [
      ["x86_64-linux-gnu-g++-12", "-S", "main.cc"],
      [
        "/usr/bin/x86_64-linux-gnu-g++-12",
        `/${GCC}/cc1plus`,
        ...STDIO,
        "/usr/include/c++/12/iostream",
        "/src/main.cc",
      ],
    ],
    [
      ["gcc", "main.o"],
      [...gcc, ...LINKED],
    ],
    [
      ["gcc", "-I", "src/given", "-E", "/root.c"],
      [...gcc, `/${GCC}/cc1`, "/usr/include/stdc-predef.h", "/root.c", "/beside.h"],
    ],
    [["gcc", "--version"], gcc],
  ];
  for (const [command, wanted] of cases) {
    await using bench = await openForeseeBench(t, [C_IMAGE]);
    await bench.foresee({ command, workdir: "/src" });
    assert.deepEqual(bench.present(), wanted.toSorted(), command.join(" "));
    assert.equal(bench.fetcher.statistics().stalls, 0);
  }
});

test("foreseeProgram() leaves room for programs, however many headers there are, and whatever is in them", async (t) => {
  const many = Array.from({ length: 400 }, (_, at) =>
    text(`usr/include/${at}.h`, `#include "${at}.h"\n#include "sub/../${at}.h"\n#include <${at + 1}.h>\n`),
  );
  const endless = Array.from({ length: 8 }, (_, at) =>
    text(`src/${at}.c`, `\r#include <${" ".repeat(at)}`.repeat(20_000)),
  );
  const directories = Array.from({ length: 12 }, (_, at) => text(`src/d${at}/other.h`, "\n"));
  const libraries = Array.from({ length: 40 }, (_, at) => `lib${at}.so`);
  const image = [
    program("usr/bin/gcc"),
    program(`${GCC}/cc1`, { needed: libraries }),
    ...libraries.map((name) => elf(`usr/lib/${name}`)),
    ...many,
    ...endless,
    ...directories,
    text("src/main.c", "#include <0.h>\n#include </>\n#include <.>\n#include <../..>\n"),
  ];
  await using bench = await openForeseeBench(t, [image]);
  const given = directories.flatMap((_, at) => ["-I", `d${at}`]);
  const command = ["gcc", ...given, "main.c", ...endless.map((_, at) => `${at}.c`)];
  await bench.foresee({ command, workdir: "/src" });
  const present = bench.present();
  assert.equal(present.filter((path) => path.startsWith("/usr/lib/lib")).length, libraries.length);
  const headers = present.filter((path) => path.startsWith("/usr/include/")).length;
  assert.ok(headers > 20 && headers < 160, String(headers));
});

test("foreseeProgram() brings the compilers that Go's command starts", async (t) => {
  const root = "usr/lib/go-1.19";
  const image = [
    program(`${root}/bin/go`),
    link("usr/bin/go", "../lib/go-1.19/bin/go"),
    ...["asm", "compile", "link", "vet"].map((tool) => program(`${root}/pkg/tool/linux_amd64/${tool}`)),
    text(`${root}/VERSION`, "go1.19"),
  ];
  const started = ["asm", "compile", "link"].map((tool) => `/${root}/pkg/tool/linux_amd64/${tool}`);
  for (const [command, wanted] of [
    [
      ["run", "."],
      [`/${root}/VERSION`, ...started],
    ],
    [["version"], []],
  ] as const) {
    await using bench = await openForeseeBench(t, [image]);
    await bench.foresee({ command: ["go", ...command] });
    assert.deepEqual(bench.present(), [`/${root}/bin/go`, ...wanted].toSorted());
  }
});

test("foreseeProgram() brings Java's virtual machine, its classes, and for its compiler modules", async (t) => {
  const home = "usr/lib/jvm/java-17";
  const large = halfNoise(9 * MIB, 1);
  const small = large.subarray(0, MIB);
  const image = [
    link("usr/bin/java", `/${home}/bin/java`),
    link("usr/bin/javac", `/${home}/bin/javac`),
    program(`${home}/bin/java`),
    program(`${home}/bin/javac`),
    { name: `${home}/lib/server/libjvm.so`, content: concatBytes([makeElf(), small]) },
    elf(`${home}/lib/libjava.so`, { needed: ["libverify.so"], runpath: "$ORIGIN" }),
    elf(`${home}/lib/libverify.so`),
    elf(`${home}/lib/libawt.so`),
    { name: `${home}/lib/server/classes.jsa`, content: small },
    { name: `${home}/lib/modules`, content: large },
    text(`${home}/lib/jvm.cfg`, "-server KNOWN\n"),
    { name: "app/app.jar", content: small },
    { name: "app/other.jar", content: small },
  ];
  const always = [
    "lib/server/libjvm.so",
    "lib/libjava.so",
    "lib/libverify.so",
    "lib/server/classes.jsa",
    "lib/jvm.cfg",
  ];
  for (const [command, wanted] of [
    [
      ["java", "-jar", "app.jar"],
      ["/app/app.jar", `/${home}/bin/java`],
    ],
    [
      ["java", "-cp", "/app:/app/other.jar", "Main"],
      ["/app/other.jar", `/${home}/bin/java`],
    ],
    [
      ["javac", "Main.java"],
      [`/${home}/bin/javac`, `/${home}/lib/modules`],
    ],
  ] as const) {
    await using bench = await openForeseeBench(t, [image]);
    await bench.foresee({ command, workdir: "/app" });
    const all = [...wanted, ...always.map((path) => `/${home}/${path}`)];
    assert.deepEqual(bench.present(), all.toSorted(), command.join(" "));
  }
});

test("foreseeProgram() brings those modules of Java that its compiler reads", async (t) => {
  const home = "usr/lib/jvm/java-17";
  const module = (name: string, mib: number): ModuleResource => ({
    module: name,
    content: halfNoise(mib * MIB, mib),
  });
  const modules = makeJavaModules([
    module("java.base", 2),
    module("jdk.localedata", 4),
    module("jdk.compiler", 1),
    module("jdk.unsupported", 3),
  ]);
  const path = `/${home}/lib/modules`;
  const image = [program(`${home}/bin/javac`), { name: path.slice(1), content: modules }];
  await using bench = await openForeseeBench(t, [image]);
  await bench.foresee({ command: [`/${home}/bin/javac`, "Main.java"], workdir: "/" });
  const file = bench.files.find(path);
  assert.ok(file !== undefined);
  const isThere = (mib: number): boolean => {
    const runs = bench.files.runs(file, { offset: mib * MIB + CHUNK, size: MIB - 2 * CHUNK });
    return Array.from(runs).every(({ layer, range }) => layer.isFilled(range));
  };
  const there = Array.from({ length: 10 }, (_, mib) => mib).filter(isThere);
  assert.deepEqual(there, [0, 1, 6]);
});
