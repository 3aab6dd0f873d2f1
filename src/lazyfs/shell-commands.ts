/**
 * The commands that a shell's text may run, as far as reading tells: nothing is executed, and no condition decided.
 *
 * ```text
 * text      commands between newlines ; & | ( ), those within $(...) and `...` before the one around them
 * command   words, without what redirects, assigns, or is the shell's grammar (if, then, {, ...)
 * word      what quotes hold and variables stand for; empty where only a running shell would know
 * ```
 *
 * Left out: comments, here-documents, patterns of `case` (of alternatives the last), and the lists of `for`. Texts may be hostile: the work is linear in
 * their length, and what comes of them is bounded.
 *
 * Source: POSIX.1-2017, "Shell Command Language".
 *
 * @module
 */

/** What a text is run with. */
export interface ShellSetting {
  /** `$0`, `$1` and so on. */
  readonly parameters: readonly string[];
  readonly variables: ReadonlyMap<string, string>;
}

const MAX_COMMANDS = 512;
const MAX_WORDS = 64;
const MAX_WORD = 4096;
const MAX_DEPTH = 16;

const BLANKS = " \t";
const WORD_ENDS = " \t\n;&|()<>";
const GRAMMAR = new Set("! { } if then elif else fi while until do done esac time coproc".split(" "));
/** What follows are no commands. */
const NO_COMMAND = new Set(["for", "case", "select", "function", "in"]);
const ASSIGNMENT = /^\w+(?:\[[^\]]*\])?\+?=/;
const NAME = /\w+|[@*]/y;
const BRACED = /^(\w+|[@*])(?::?-(.*))?$/s;

/** The commands of a text in their order; each has at least one word. */
export function shellCommands(text: string, setting: ShellSetting): readonly (readonly string[])[] {
  const reader = new ShellReader(text, setting);
  reader.readList(undefined);
  return reader.commands;
}

/** A part of a word: text, a list, or what only a running shell knows. */
type WordPart = string | readonly string[] | undefined;

/** A word that is being read. */
class ShellWord {
  readonly #before: string[] = [];
  #value = "";
  #isKnown = true;
  #isList = false;

  /** Adds a part; a list's first and last texts are joined with what is around it. */
  append(part: WordPart): void {
    if (typeof part !== "object") return this.#join(part);
    this.#isList = true;
    for (const [at, text] of part.entries()) {
      if (at > 0) {
        this.#before.push(this.#last());
        [this.#value, this.#isKnown] = ["", true];
      }
      this.#join(text);
    }
  }

  values(): readonly string[] {
    const last = this.#last();
    return this.#isList && last === "" ? this.#before : [...this.#before, last];
  }

  #join(text: string | undefined): void {
    if (text === undefined || this.#value.length + text.length > MAX_WORD) this.#isKnown = false;
    else if (this.#isKnown) this.#value += text;
  }

  /** What is known of an assignment's value does not matter: no command is in it. */
  #last(): string {
    return this.#isKnown || ASSIGNMENT.test(this.#value) ? this.#value : "";
  }
}

class ShellReader {
  readonly commands: (readonly string[])[] = [];
  readonly #text: string;
  readonly #setting: ShellSetting;
  /** Here-documents whose lines begin after this one. */
  readonly #endings: string[] = [];
  #at = 0;
  #depth = 0;
  #backquotes = 0;

  constructor(text: string, setting: ShellSetting) {
    this.#text = text;
    this.#setting = setting;
  }

  /** Reads commands up to the character that closes them, and over it. */
  readList(closing: ")" | "`" | undefined): void {
    if (this.#depth >= MAX_DEPTH) this.#at = this.#text.length;
    this.#depth += 1;
    let words: string[] = [];
    for (let next = this.#peek(); next !== undefined; next = this.#peek()) {
      if (next === closing) {
        this.#at += 1;
        break;
      }
      if (next === "`" && this.#backquotes > 0) break;
      if (BLANKS.includes(next)) this.#at += 1;
      else if (this.#text.startsWith("\\\n", this.#at)) this.#at += 2;
      else if (next === "#") this.#skipTo("\n");
      else if (next === "<" || next === ">") this.#readRedirection();
      else if ("\n;&|".includes(next)) {
        this.#at += 1;
        this.#add(words);
        words = [];
        if (next === "\n") this.#skipDocuments();
      } else if (next === "(" || next === ")") {
        // The name of a function, an array's, or a pattern.
        words = [];
        this.#at += 1;
        if (next === "(") this.readList(")");
      } else {
        const values = this.#readWord();
        if (words.length < 2 * MAX_WORDS) words.push(...values);
      }
    }
    this.#add(words);
    this.#depth -= 1;
  }

  #add(words: readonly string[]): void {
    const first = words.findIndex((word) => !GRAMMAR.has(word) && !ASSIGNMENT.test(word));
    const name = words[first];
    if (name === undefined || NO_COMMAND.has(name) || this.commands.length >= MAX_COMMANDS) return;
    this.commands.push(words.slice(first, first + MAX_WORDS));
  }

  /** The values of a word: one, but where it stands for all parameters. */
  #readWord(): readonly string[] {
    const word = new ShellWord();
    let quoted = false;
    for (let next = this.#peek(); next !== undefined; next = this.#peek()) {
      if (!quoted && WORD_ENDS.includes(next)) break;
      if (next === "`" && this.#backquotes > 0) break;
      this.#at += 1;
      if (next === '"') quoted = !quoted;
      else if (next === "'" && !quoted) word.append(this.#takeTo("'"));
      else if (next === "\\") word.append(this.#readEscaped());
      else if (next === "`") word.append(this.#readBackquoted());
      else if (next === "$") word.append(this.#readExpansion());
      else word.append(next);
    }
    return word.values();
  }

  /** What follows a `$`: its value, those of all parameters, or undefined for what is not known. */
  #readExpansion(): WordPart {
    const next = this.#peek();
    if (next === "(") {
      this.#at += 1;
      if (this.#peek() === "(") this.#takeTo("))");
      else this.readList(")");
      return undefined;
    }
    if (next === "{") {
      this.#at += 1;
      const [, name, otherwise] = BRACED.exec(this.#takeTo("}")) ?? [];
      return name === undefined ? undefined : (this.#valueOf(name) ?? otherwise);
    }
    NAME.lastIndex = this.#at;
    const [name] = NAME.exec(this.#text) ?? [];
    if (name === undefined) return "$";
    this.#at += name.length;
    return this.#valueOf(name);
  }

  #valueOf(name: string): WordPart {
    const { parameters, variables } = this.#setting;
    if (name === "@" || name === "*") return parameters.slice(1, 1 + MAX_WORDS);
    return /^\d/.test(name) ? parameters[Number(name)] : variables.get(name);
  }

  #readEscaped(): string {
    const next = this.#peek() ?? "";
    this.#at += 1;
    return next === "\n" ? "" : next;
  }

  #readBackquoted(): undefined {
    this.#backquotes += 1;
    this.readList("`");
    this.#backquotes -= 1;
  }

  /** Passes a redirection; what comes of `<(...)` is read as commands. */
  #readRedirection(): void {
    const isDocument = this.#text.startsWith("<<", this.#at) && this.#text[this.#at + 2] !== "<";
    while ("<>&|-".includes(this.#peek() ?? " ")) this.#at += 1;
    while (BLANKS.includes(this.#peek() ?? "#")) this.#at += 1;
    const [ending] = this.#readWord();
    if (isDocument && ending !== undefined) this.#endings.push(ending);
  }

  /** Passes the here-documents that were announced on the line before. */
  #skipDocuments(): void {
    for (const ending of this.#endings.splice(0)) {
      while (this.#at < this.#text.length && this.#takeTo("\n").replace(/^\t+/, "") !== ending);
    }
  }

  #peek(): string | undefined {
    return this.#text[this.#at];
  }

  #skipTo(end: string): void {
    const at = this.#text.indexOf(end, this.#at);
    this.#at = at < 0 ? this.#text.length : at;
  }

  /** What comes before an end, which is passed, too. */
  #takeTo(end: string): string {
    const start = this.#at;
    this.#skipTo(end);
    const taken = this.#text.slice(start, this.#at);
    this.#at += end.length;
    return taken;
  }
}
