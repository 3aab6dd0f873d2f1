/**
 * The `WWW-Authenticate` header: what a server wants to see before it answers.
 *
 * ```text
 * challenges = challenge *( "," challenge )
 * challenge  = scheme SP ( token68 | param *( "," param ) )
 * param      = name "=" ( token | quoted-string )
 * ```
 *
 * Source: RFC 9110, section 11.6.1; the distribution project's token authentication specification.
 *
 * @module
 */

/** One challenge: a scheme in lower case, its parameters with names in lower case. */
export interface AuthChallenge {
  readonly scheme: string;
  readonly params: ReadonlyMap<string, string>;
}

const MAX_HEADER_LENGTH = 16 << 10;
const MAX_CHALLENGES = 16;
const SEPARATOR = /[\s,]*/y;
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const EQUALS = /[ \t]*=[ \t]*/y;
const QUOTED = /"((?:[^"\\]|\\[\s\S])*)"/y;
const BARE_VALUE = /[^\s,"]+/y;
const TOKEN_68 = /[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y;

/**
 * Parses the values of all `WWW-Authenticate` headers of an answer. Never throws: what cannot be understood ends the
 * parse of that value, and the challenges before it stand.
 */
export function parseAuthChallenges(values: readonly string[]): AuthChallenge[] {
  return values.flatMap((value) => (value.length > MAX_HEADER_LENGTH ? [] : parseValue(value)));
}

function parseValue(text: string): AuthChallenge[] {
  const scanner = new Scanner(text);
  const challenges: { scheme: string; params: Map<string, string> }[] = [];
  while (challenges.length <= MAX_CHALLENGES) {
    scanner.take(SEPARATOR);
    const word = scanner.take(TOKEN)?.[0];
    if (word === undefined) break;
    const current = challenges.at(-1);
    if (current !== undefined && scanner.take(EQUALS) !== undefined) {
      const value = takeValue(scanner);
      if (value === undefined) break;
      const name = word.toLowerCase();
      if (!current.params.has(name)) current.params.set(name, value);
    } else {
      challenges.push({ scheme: word.toLowerCase(), params: new Map() });
      scanner.take(/[ \t]+/y);
      scanner.take(TOKEN_68);
    }
  }
  return challenges;
}

function takeValue(scanner: Scanner): string | undefined {
  const quoted = scanner.take(QUOTED)?.[1];
  if (quoted !== undefined) return quoted.replace(/\\([\s\S])/g, "$1");
  return scanner.take(BARE_VALUE)?.[0];
}

/** A place in a text that moves forward over what sticky patterns match. */
class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#at = pattern.lastIndex;
    return match;
  }
}
