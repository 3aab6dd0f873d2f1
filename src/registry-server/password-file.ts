/**
 * Users and their passwords, from the text of an htpasswd file.
 *
 * ```
 * user:$2y$05$...        one user a line, bcrypt only (htpasswd -B), as other registries have it
 * # comment              ignored, as are empty lines
 * ```
 *
 * @module
 */
import { createHmac, randomBytes } from "node:crypto";
import { Semaphore } from "../async/index.ts";
import { EsgzError, messageOf } from "../errors/index.ts";
import { type BcryptHash, matchesBcrypt, parseBcrypt } from "./bcrypt.ts";

// Each check keeps a processor busy: attempts beyond these wait for their turn.
const CONCURRENT_CHECKS = 2;
const MAX_REMEMBERED = 1024;
// Costs as much as a real user's hash of the same cost, and no password has it.
const NOBODY_HASH = new Uint8Array(23);

/** The users of a registry. */
export class PasswordFile {
  readonly #users: ReadonlyMap<string, BcryptHash>;
  readonly #checks = new Semaphore(CONCURRENT_CHECKS);
  readonly #secret = randomBytes(32);
  /** Keyed hashes of user and password that were right before: clients send them with every request. */
  readonly #remembered = new Set<string>();

  constructor(users: ReadonlyMap<string, BcryptHash>) {
    this.#users = users;
  }

  /** Whether the user exists and has the password. Takes as long for unknown users as for known ones. */
  async accepts(
    { user, password }: { readonly user: string; readonly password: string },
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<boolean> {
    const name = JSON.stringify([user, password]);
    const seen = createHmac("sha256", this.#secret).update(name).digest("base64");
    if (this.#remembered.has(seen)) return true;
    const known = this.#users.get(user);
    const expected = known ?? { cost: this.#usualCost(), salt: new Uint8Array(16), hash: NOBODY_HASH };
    const matches = await this.#checks.run(() => matchesBcrypt(password, expected, options), options);
    if (known === undefined || !matches) return false;
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    this.#remembered.add(seen);
    return true;
  }

  #usualCost(): number {
    const [first] = this.#users.values();
    return first?.cost ?? 5;
  }
}

/**
 * Parses the text of an htpasswd file.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID` with the line's number, never its content.
 */
export function parsePasswordFile(text: string): PasswordFile {
  const users = new Map<string, BcryptHash>();
  for (const [at, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const colon = line.indexOf(":");
    if (colon <= 0) throw invalidLine(at, 'expected "user:hash"');
    try {
      users.set(line.slice(0, colon), parseBcrypt(line.slice(colon + 1)));
    } catch (cause) {
      throw invalidLine(at, messageOf(cause), cause);
    }
  }
  return new PasswordFile(users);
}

function invalidLine(at: number, reason: string, cause?: unknown): EsgzError {
  return new EsgzError("CONFIGURATION_INVALID", `Cannot read htpasswd line ${at + 1}: ${reason}`, { cause });
}
