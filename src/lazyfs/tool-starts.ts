/**
 * What compilers and virtual machines start and read besides themselves. Facts of the programs: `strace -f` shows them.
 *
 * ```text
 * gcc    cc1 or cc1plus, as, collect2, ld; headers; what every program begins and ends with
 * go     compile, link, asm
 * java   the virtual machine and its libraries, its archive of classes
 * javac  the same, and the modules that it is and compiles against; other programs written in Java: all modules
 * ```
 *
 * @module
 */
import { COMMON_TRIPLETS } from "./multiarch.ts";

/** What a program needs besides its libraries. In patterns a name of a path may be `*`, for all in a directory. */
export interface ToolStart {
  /** Patterns of programs that it starts, and libraries that it opens; a name alone is looked for as commands are. */
  readonly starts: readonly string[];
  /** Patterns of data that it reads here and there, until it has read nearly all. */
  readonly whole?: readonly string[] | undefined;
  /** Those modules of Java that it reads, of all that are in one file. */
  readonly modules?: JavaModules | undefined;
  /** The same, as its words name it: paths, which may be relative. */
  readonly archives?: readonly string[] | undefined;
  /** Patterns of small files, in the order of their use. */
  readonly files?: readonly string[] | undefined;
  readonly sources?: CSources | undefined;
}

/** Modules in a file of modules. */
export interface JavaModules {
  readonly file: string;
  readonly names: readonly string[];
}

/** C or C++ that is compiled. */
export interface CSources {
  /** Paths, which may be relative. */
  readonly files: readonly string[];
  /** Directories of headers that words name, which may be relative; they are looked in first ... */
  readonly ownHeaders: readonly string[];
  /** ... and patterns of those that are the compiler's, in their order. */
  readonly headers: readonly string[];
}

const GCC = /^(.*)\/bin\/(?:[\w.]+-)*(?:gcc|cc|(?:g|c)(\+\+))(?:-(\d[\d.]*))?$/;
const C_SOURCE = /^[^-].*\.c$/;
const C_OBJECT = /^[^-].*\.[ao]$/;
const CXX_SOURCE = /^[^-].*\.(?:cc|cp|cpp|cxx|c\+\+|C|CPP)$/;
const HEADERS_OPTION = /^-(?:I|isystem)(.*)$/;
const C_LIBRARIES = [...COMMON_TRIPLETS.map((triplet) => `/usr/lib/${triplet}`), "/usr/lib64", "/usr/lib"];
const C_OBJECTS = ["Scrt1.o", "crti.o", "crtn.o", "libc.so", "libc_nonshared.a", "libgcc_s.so.1"];
const GCC_OBJECTS = ["crtbeginS.o", "crtendS.o", "libgcc_s.so"];

const GO = /^(.*)\/bin\/go$/;
const GO_COMPILES = new Set("build generate install run test vet".split(" "));

const JAVA = /^(.*)\/bin\/(java|javac|javadoc|jlink|jpackage|jshell)$/;
const JAVA_LIBRARIES = ["server/libjvm", "libjava", "libjimage", "libnio", "libnet", "libzip"];
const JAVAC_MODULES = ["java.base", "java.compiler", "jdk.compiler"];
const JAVA_FILES = ["lib/jvm.cfg", "conf/security/java.security"];

/**
 * What a program starts and reads with such words behind its name; undefined for most programs.
 *
 * @param program its path, without links
 */
export function toolStartOf(program: string, words: readonly string[]): ToolStart | undefined {
  return gccStart(program, words) ?? goStart(program, words) ?? javaStart(program, words);
}

function gccStart(program: string, words: readonly string[]): ToolStart | undefined {
  const [, prefix, plus, version = "*"] = GCC.exec(program) ?? [];
  if (prefix === undefined) return undefined;
  const isCxx = plus !== undefined || words.some((word) => CXX_SOURCE.test(word));
  const files = words.filter((word) => C_SOURCE.test(word) || CXX_SOURCE.test(word));
  const compiles = files.length > 0;
  const assembles = compiles && !words.some((word) => /^-[ES]$/.test(word));
  const hasObjects = compiles || words.some((word) => C_OBJECT.test(word));
  const links = hasObjects && !words.some((word) => /^-[ESc]$/.test(word));
  if (!compiles && !links) return undefined;
  const installed = ["lib", "libexec"].map((directory) => `${prefix}/${directory}/gcc/*/${version}`);
  const compiler = inEach(installed, [isCxx ? "cc1plus" : "cc1"]);
  const machines = COMMON_TRIPLETS.map((triplet) => `/usr/include/${triplet}`);
  const cxx = [`${prefix}/include/c++/${version}`, ...machines.map((at) => `${at}/c++/${version}`)];
  const cxxMachines = COMMON_TRIPLETS.map((triplet) => `${prefix}/include/c++/${version}/${triplet}`);
  const headers = [
    ...(isCxx ? [...cxx, ...cxxMachines] : []),
    ...inEach(installed, ["include"]),
    "/usr/local/include",
    ...machines,
    "/usr/include",
  ];
  return {
    starts: [
      ...(compiles ? compiler : []),
      ...(assembles ? ["as"] : []),
      ...(links ? ["ld", ...inEach(installed, ["collect2", "liblto_plugin.so"])] : []),
    ],
    whole: links ? inEach(installed, ["libgcc.a"]) : [],
    files: links ? [...inEach(C_LIBRARIES, C_OBJECTS), ...inEach(installed, GCC_OBJECTS)] : [],
    sources: compiles ? { files, ownHeaders: headersOf(words), headers } : undefined,
  };
}

/** The directories of `-I` and `-isystem`, with the option or behind it. */
function headersOf(words: readonly string[]): readonly string[] {
  return words.flatMap((word, at) => {
    const directory = HEADERS_OPTION.exec(word)?.[1];
    if (directory === undefined) return [];
    return directory === "" ? words.slice(at + 1, at + 2) : [directory];
  });
}

function inEach(directories: readonly string[], names: readonly string[]): readonly string[] {
  return directories.flatMap((directory) => names.map((name) => `${directory}/${name}`));
}

function goStart(program: string, words: readonly string[]): ToolStart | undefined {
  const [, root] = GO.exec(program) ?? [];
  if (root === undefined || !GO_COMPILES.has(words[0] ?? "")) return undefined;
  return {
    starts: ["compile", "link", "asm"].map((tool) => `${root}/pkg/tool/*/${tool}`),
    files: ["VERSION", "go.env"].map((name) => `${root}/${name}`),
  };
}

function javaStart(program: string, words: readonly string[]): ToolStart | undefined {
  const [, home, name] = JAVA.exec(program) ?? [];
  if (home === undefined) return undefined;
  const modules = `${home}/lib/modules`;
  const behind = (option: string): string => words.slice(words.indexOf(option))[1] ?? "";
  const classPath = ["-jar", "-cp", "-classpath", "--class-path"].flatMap((each) => behind(each).split(":"));
  return {
    starts: JAVA_LIBRARIES.map((library) => `${home}/lib/${library}.so`),
    whole: [`${home}/lib/server/classes.jsa`, ...(/^javac?$/.test(name ?? "") ? [] : [modules])],
    modules: name === "javac" ? { file: modules, names: JAVAC_MODULES } : undefined,
    archives: classPath.filter((each) => each.endsWith(".jar")),
    files: JAVA_FILES.map((file) => `${home}/${file}`),
  };
}
