/**
 * Words for a POSIX shell.
 *
 * @module
 */

/** A text as one word that no shell changes. */
export function quoteWord(text: string): string {
  return /^[\w%+,./:=@-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** Words as one command. */
export function quoteCommand(words: readonly string[]): string {
  return words.map(quoteWord).join(" ");
}
