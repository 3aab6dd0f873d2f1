/**
 * Brings what starting a program will read, before it is read.
 *
 * ```text
 * command ──┬── the program: links, PATH ── the file ──┬── "#!" ── the interpreter with the script: a command
 *           │                                          └── ELF ── the loader and libraries; files that arguments name
 *           ├── what it starts: tini, gosu, env, sh -c, a shell's script ── commands
 *           └── what compilers and virtual machines start and read
 * ```
 *
 * A process waits a round trip for each of these. Here all that is known is asked for at once. It is a guess: what it misses is
 * read as always, and what it brings in vain costs a little of the link.
 *
 * @module
 */
import { bringTool } from "./bring-tool.ts";
import { endAll } from "./end-all.ts";
import { type ForeseeReport, ForeseenFiles, type ForeseenFilesOptions } from "./foreseen-files.ts";
import { ForeseenHeaders } from "./foreseen-headers.ts";
import { ForeseenLibraries } from "./foreseen-libraries.ts";
import type { ImageFile } from "./image-files.ts";
import { COMMON_TRIPLETS } from "./multiarch.ts";
import { shellCommands } from "./shell-commands.ts";
import { MODULE_PREFIXES, modulesIn, startFilesOf } from "./start-files.ts";
import { toolStartOf } from "./tool-starts.ts";
import { interpreterOf, isShellBuiltin, type StartedCommand, startedBy } from "./started-commands.ts";

/** What will be started, and where to look for it. */
export interface ForeseeOptions extends ForeseenFilesOptions {
  /** The words of the command; the first is a path or a name. */
  readonly command: readonly string[];
  /** Variables of the process, `NAME=value`. */
  readonly env: readonly string[];
  /** Where it starts. */
  readonly workdir?: string | undefined;
}

/** What the first process of nearly every container reads, whatever it is. */
const ALWAYS = ["/etc/ld.so.cache", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/localtime"];
/** The loader and the C library, where distributions have them: nearly every program is linked with these. */
const LIBC = [
  "/lib64/ld-linux-x86-64.so.2",
  "/lib/ld-linux-aarch64.so.1",
  ...COMMON_TRIPLETS.map((triplet) => `/lib/${triplet}/libc.so.6`),
  "/lib64/libc.so.6",
  "/lib/ld-musl-x86_64.so.1",
  "/lib/ld-musl-aarch64.so.1",
];
const MAX_DIRECTORIES = 2048;
const MAX_COMMANDS = 128;
/** A wrapper, a script, its interpreter, a wrapper in it ... */
const MAX_DEPTH = 12;
const SCRIPT_LINE = 256;
const MAX_SCRIPTS = 16;
/** What comes behind is rarely text. */
const MAX_TEXT = 64 << 10;
/** Of a starter's words, how many are tried: what is left of them are the program's. */
const MAX_TRIES = 8;
const MAX_ARGUMENTS = 16;
const MAX_MODULES = 32;
const GUESS = { guess: true };

/**
 * Brings the files that starting a command reads first. Resolves when all are there.
 *
 * What cannot be found or fetched, for whatever reason, is left to whoever reads it.
 *
 * @throws the signal's reason, when all work has ended
 */
export async function foreseeProgram(options: ForeseeOptions): Promise<ForeseeReport> {
  return await new Foresight(options).run();
}

/** How a command came to be known. */
interface CommandOrigin {
  /** How many others led to it. */
  readonly depth: number;
  /** Whether a script names it, but may well not come to it. */
  readonly guess: boolean;
}

class Foresight {
  readonly #command: readonly string[];
  readonly #workdir: string;
  readonly #variables: ReadonlyMap<string, string>;
  readonly #files: ForeseenFiles;
  readonly #libraries: ForeseenLibraries;
  readonly #headers: ForeseenHeaders;
  readonly #scripts = new Set<number>();
  readonly #guesses = new Set<string>();
  #commands = 0;

  constructor(options: ForeseeOptions) {
    const { command, env, workdir = "" } = options;
    this.#command = command;
    this.#workdir = workdir.startsWith("/") ? workdir : `/${workdir}`;
    this.#variables = new Map(
      env
        .filter((entry) => entry.includes("="))
        .map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]),
    );
    this.#files = new ForeseenFiles(options);
    this.#headers = new ForeseenHeaders(this.#files);
    this.#libraries = new ForeseenLibraries(this.#files, this.#listOf("LD_LIBRARY_PATH"));
  }

  async run(): Promise<ForeseeReport> {
    const origin = { depth: 0, guess: false };
    const [name = ""] = this.#command;
    // Nearly for sure, and a round trip before its first line says so.
    const shell = name.endsWith(".sh") ? [this.#start(["/bin/sh"], origin)] : [];
    // In the order in which they are needed: not all can travel at once.
    const always = [...LIBC, ...ALWAYS].map(async (path) => await this.#files.bringPath(path));
    try {
      await endAll([this.#start(this.#command, origin), ...shell, ...always]);
    } finally {
      await this.#files.end();
    }
    return this.#files.report;
  }

  async #start(command: readonly string[], origin: CommandOrigin): Promise<void> {
    if (origin.depth > MAX_DEPTH || this.#commands >= MAX_COMMANDS) return;
    this.#commands += 1;
    const started = startedBy(command);
    const isFile = origin.depth === 0 || !isShellBuiltin(command[0] ?? "");
    await endAll([
      ...(isFile ? [this.#startFile(command, origin)] : []),
      ...(started === undefined ? [] : [this.#follow(started, { ...origin, depth: origin.depth + 1 })]),
    ]);
  }

  async #startFile(command: readonly string[], origin: CommandOrigin): Promise<void> {
    const { guess } = origin;
    const [name = "", ...words] = command;
    const file = await this.#findProgram(name);
    if (file === undefined) return;
    // What a program is known to read does not wait for the program.
    const known = guess ? [] : [...this.#startFiles(file, words), this.#startTool(file, words, origin)];
    await endAll([this.#startProgram(file, words, origin), ...known]);
  }

  async #startProgram(
    file: ImageFile,
    words: readonly string[],
    { depth, guess }: CommandOrigin,
  ): Promise<void> {
    if (!(await this.#files.bring(file, { guess }))) return;
    const line = await this.#files.read(file, { offset: 0, size: SCRIPT_LINE });
    const interpreter = interpreterOf(line);
    if (interpreter !== undefined) {
      await this.#start([...interpreter, file.path, ...words], { depth: depth + 1, guess });
      return;
    }
    await this.#libraries.bringFor(file, { guess });
  }

  /** Brings what a program is known to read, and small files that its words name. */
  #startFiles({ path }: ImageFile, words: readonly string[]): readonly Promise<void>[] {
    const named = words
      .slice(0, MAX_ARGUMENTS)
      .map((word) => word.slice(word.indexOf("=") + 1))
      .filter((word) => /[./]/.test(word))
      .map((word) => this.#absolute(word));
    const script = words.find((word) => !word.startsWith("-"));
    const known = startFilesOf(path, script === undefined ? undefined : this.#absolute(script));
    return [
      ...known.map((each) => (each.endsWith("/*") ? this.#bringSettings(each) : this.#files.bringPath(each))),
      ...named.map((each) => this.#files.bringPath(each, GUESS)),
    ];
  }

  /** Brings what a compiler or a virtual machine starts and reads. */
  async #startTool({ path }: ImageFile, words: readonly string[], { depth }: CommandOrigin): Promise<void> {
    const tool = toolStartOf(path, words);
    if (tool === undefined) return;
    await bringTool(tool, {
      files: this.#files,
      headers: this.#headers,
      absolute: (each) => this.#absolute(each),
      start: async (program) => await this.#start([program], { depth: depth + 1, guess: false }),
    });
  }

  /** Brings the files that a pattern stands for, and the modules that they have their program load. */
  async #bringSettings(pattern: string): Promise<void> {
    const bring = async (path: string): Promise<void> => {
      const file = await this.#files.find(path);
      if (file === undefined) return;
      const modules = modulesIn((await this.#files.readText(file, { ...GUESS, most: MAX_TEXT })) ?? "").slice(
        0,
        MAX_MODULES,
      );
      await endAll(modules.map((path) => this.#bringModule(path)));
    };
    await endAll((await this.#files.match(pattern)).map(bring));
  }

  async #bringModule(path: string): Promise<void> {
    const isAbsolute = path.startsWith("/");
    const file = await (isAbsolute ? this.#files.find(path) : this.#files.findIn(MODULE_PREFIXES, path));
    if (file !== undefined && (await this.#files.bring(file, GUESS)))
      await this.#libraries.bringFor(file, GUESS);
  }

  async #follow(started: StartedCommand, origin: CommandOrigin): Promise<void> {
    // What a guess leads to is too far from what is known, but for the program behind a wrapper.
    if (origin.guess && started.kind !== "words") return;
    switch (started.kind) {
      case "words":
        return await this.#startAmong(started.words, origin);
      case "text":
        return await this.#startText(started.text, { ...origin, ...started, isFile: false });
      case "script":
        return await this.#startScript(started.parameters, origin);
    }
  }

  /** Starts at the first word that is a program. */
  async #startAmong(words: readonly string[], origin: CommandOrigin): Promise<void> {
    let tries = 0;
    for (const [at, word] of words.entries()) {
      if (word.startsWith("-") || word.includes("=")) continue;
      if ((tries += 1) > MAX_TRIES) return;
      if ((await this.#findProgram(word)) === undefined) continue;
      return await this.#start(words.slice(at), origin);
    }
  }

  async #startScript(parameters: readonly string[], origin: CommandOrigin): Promise<void> {
    const file = await this.#files.find(this.#absolute(parameters[0] ?? ""));
    if (file === undefined || this.#scripts.has(file.nid) || this.#scripts.size >= MAX_SCRIPTS) return;
    this.#scripts.add(file.nid);
    const text = await this.#files.readText(file, { guess: origin.guess, most: MAX_TEXT });
    if (text !== undefined) await this.#startText(text, { ...origin, parameters, isFile: true });
  }

  /** Starts what a shell's text names: what it ends with for sure, all else by guess where the text is a file's. */
  async #startText(
    text: string,
    {
      parameters,
      isFile,
      ...origin
    }: CommandOrigin & { readonly parameters: readonly string[]; readonly isFile: boolean },
  ): Promise<void> {
    const commands = shellCommands(text, { parameters, variables: this.#variables });
    const isSure = (command: readonly string[]): boolean =>
      !isFile || command === commands.at(-1) || /^(?:exec|set|\.|source)$/.test(command[0] ?? "");
    const sure = commands.filter(isSure);
    const guessed = commands.filter((command) => !isSure(command) && this.#isNewGuess(command));
    await endAll([
      ...sure.map((command) => this.#start(command, origin)),
      ...guessed.map((command) => this.#start(command, { ...origin, guess: true })),
    ]);
  }

  /** Whether it would bring a program that was not guessed before. */
  #isNewGuess(command: readonly string[]): boolean {
    const [name = ""] = command;
    const isStarter = startedBy(command) !== undefined;
    if (name === "" || (isShellBuiltin(name) && !isStarter)) return false;
    const key = isStarter ? command.slice(0, MAX_TRIES).join(" ") : name;
    if (this.#guesses.has(key)) return false;
    this.#guesses.add(key);
    return true;
  }

  async #findProgram(name: string): Promise<ImageFile | undefined> {
    if (name === "") return undefined;
    if (name.includes("/")) return await this.#files.find(this.#absolute(name));
    return await this.#files.findIn(this.#listOf("PATH"), name);
  }

  #absolute(path: string): string {
    return path.startsWith("/") ? path : `${this.#workdir}/${path}`;
  }

  /** The directories in a variable. */
  #listOf(name: string): readonly string[] {
    return (this.#variables.get(name) ?? "").split(":", MAX_DIRECTORIES);
  }
}
