/**
 * bcrypt password hashes.
 *
 * ```
 * $2y$      version: 2a, 2b and 2y are the same for what htpasswd makes
 * 10$       cost: 2^10 rounds
 * 22 chars  salt, 16 bytes in bcrypt's own base64
 * 31 chars  hash, 23 bytes
 * ```
 *
 * Source: N. Provos, D. Mazieres, "A Future-Adaptable Password Scheme", 1999.
 *
 * @module
 */
import { timingSafeEqual } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { encodeUtf8 } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { Blowfish } from "./blowfish.ts";

/** A parsed bcrypt hash. */
export interface BcryptHash {
  /** The binary logarithm of the number of rounds. */
  readonly cost: number;
  /** 16 bytes. */
  readonly salt: Uint8Array;
  /** 23 bytes. */
  readonly hash: Uint8Array;
}

const HASH = /^\$2[aby]\$(\d\d)\$([./A-Za-z0-9]{22})([./A-Za-z0-9]{31})$/;
const ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const MIN_COST = 4;
// 2^17 rounds take about ten seconds: more would let one login block the others for too long.
const MAX_COST = 17;
const MAX_KEY_BYTES = 72;
const PLAINTEXT_WORDS = [0x4f727068, 0x65616e42, 0x65686f6c, 0x64657253, 0x63727944, 0x6f756274];
const PLAINTEXT_ROUNDS = 64;
const HASH_BYTES = 23;
// Rounds between two looks at other work: about 5 ms.
const ROUNDS_AT_ONCE = 64;

/**
 * Parses a hash.
 *
 * @throws {EsgzError} `CREDENTIALS_INVALID`; the message does not hold the hash.
 */
export function parseBcrypt(text: string): BcryptHash {
  const match = HASH.exec(text);
  const cost = Number(match?.[1]);
  if (match === null || cost < MIN_COST || cost > MAX_COST) {
    throw new EsgzError(
      "CREDENTIALS_INVALID",
      `Cannot read password hash: expected bcrypt of cost ${MIN_COST} to ${MAX_COST} (htpasswd -B), got something else`,
    );
  }
  return { cost, salt: decodeBase64(match[2] ?? "", 16), hash: decodeBase64(match[3] ?? "", HASH_BYTES) };
}

/** Whether a password has the hash. Other work goes on meanwhile; rejects with the signal's reason if that comes first. */
export async function matchesBcrypt(
  password: string,
  expected: BcryptHash,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<boolean> {
  const key = encodeUtf8(`${password}\0`).subarray(0, MAX_KEY_BYTES);
  const cipher = new Blowfish();
  cipher.expandKey(key, expected.salt);
  for (let round = 0; round < 2 ** expected.cost; round += 1) {
    cipher.expandKey(key);
    cipher.expandKey(expected.salt);
    if (round % ROUNDS_AT_ONCE === ROUNDS_AT_ONCE - 1) await setImmediate(undefined, options);
  }
  return timingSafeEqual(finalHash(cipher), expected.hash);
}

function finalHash(cipher: Blowfish): Uint8Array {
  const hash = new DataView(new ArrayBuffer(PLAINTEXT_WORDS.length * 4));
  for (let at = 0; at < PLAINTEXT_WORDS.length; at += 2) {
    cipher.left = PLAINTEXT_WORDS[at] ?? 0;
    cipher.right = PLAINTEXT_WORDS[at + 1] ?? 0;
    for (let round = 0; round < PLAINTEXT_ROUNDS; round += 1) cipher.encipher();
    hash.setInt32(at * 4, cipher.left);
    hash.setInt32(at * 4 + 4, cipher.right);
  }
  return new Uint8Array(hash.buffer, 0, HASH_BYTES);
}

/** Six bits a character, the highest first; bits beyond `size` bytes are dropped. */
function decodeBase64(text: string, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let bits = 0;
  let count = 0;
  let at = 0;
  for (const character of text) {
    bits = ((bits << 6) | ALPHABET.indexOf(character)) & 0xffff;
    count += 6;
    if (count < 8 || at >= size) continue;
    count -= 8;
    bytes[at] = (bits >> count) & 0xff;
    at += 1;
  }
  return bytes;
}
