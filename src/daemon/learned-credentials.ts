/**
 * Credentials that were learned from pulls, kept over restarts.
 *
 * ```text
 * S/credentials      JSON {"version":1,"nonce":...,"tag":...,"data":...}: AES-256-GCM over a JSON list of entries; mode 0600
 * S/credentials.key  32 random bytes; mode 0600
 * ```
 *
 * The key lies beside the file: this keeps credentials out of backups and logs that take one of the two, not from root.
 *
 * @module
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { EsgzError, messageOf } from "../errors/index.ts";
import { ifExists } from "../files/index.ts";
import { parseReference } from "../oci/index.ts";
import type { Credential, CredentialProvider, CredentialQuery } from "../registry/index.ts";
import type { ImageCredentials } from "../snapshotter/index.ts";

const CIPHER = "aes-256-gcm";
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const MAX_ENTRIES = 4096;

const Text = v.optional(v.string());
const EntriesSchema = v.array(
  v.tuple([
    v.string(),
    v.object({ username: Text, password: Text, identityToken: Text, registryToken: Text }),
  ]),
);
const EnvelopeSchema = v.object({
  version: v.literal(1),
  nonce: v.string(),
  tag: v.string(),
  data: v.string(),
});

/** By image, as the client names it; the one that was learned last answers for a repository, else for its registry. */
export class LearnedCredentials implements ImageCredentials, CredentialProvider {
  readonly #directory: string;
  readonly #entries: Map<string, Credential>;
  /** What a pull that is under way has replaced. */
  readonly #replaced = new Map<string, Credential | undefined>();
  #written: Promise<void> = Promise.resolve();

  private constructor(directory: string, entries: Map<string, Credential>) {
    this.#directory = directory;
    this.#entries = entries;
  }

  /**
   * Reads what is there. What cannot be read is told, and learned anew.
   *
   * @param options.directory where the files lie; it exists.
   */
  static async open(options: {
    readonly directory: string;
    readonly onProblem: (problem: EsgzError) => void;
  }): Promise<LearnedCredentials> {
    const { directory, onProblem } = options;
    try {
      return new LearnedCredentials(directory, new Map(await readEntries(directory)));
    } catch (cause) {
      const text = `Cannot read credentials "${join(directory, "credentials")}": ${messageOf(cause)}; they have to be learned anew`;
      onProblem(new EsgzError("CREDENTIALS_INVALID", text, { cause }));
      return new LearnedCredentials(directory, new Map());
    }
  }

  async learn(image: string, credential: Credential | undefined): Promise<void> {
    this.#replaced.set(image, this.#entries.get(image));
    this.#set(image, credential);
    await this.#write();
  }

  /** What is true of several images from now on. */
  async learnAll(known: Iterable<readonly [image: string, Credential | undefined]>): Promise<void> {
    for (const [image, credential] of known) {
      this.#replaced.delete(image);
      this.#set(image, credential);
    }
    await this.#write();
  }

  async refuse(image: string): Promise<void> {
    this.#set(image, this.#replaced.get(image));
    this.#replaced.delete(image);
    await this.#write();
  }

  async forget(image: string): Promise<void> {
    this.#replaced.delete(image);
    if (this.#entries.delete(image)) await this.#write();
  }

  credentialFor(registry: string, { repository }: CredentialQuery): Promise<Credential | undefined> {
    const found = [...this.#entries].toReversed().find(([image]) => isOf(image, { registry, repository }));
    return Promise.resolve(found?.[1]);
  }

  #set(image: string, credential: Credential | undefined): void {
    // What is learned anew is the newest.
    this.#entries.delete(image);
    if (credential === undefined) return;
    this.#entries.set(image, credential);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MAX_ENTRIES && oldest !== undefined) this.#entries.delete(oldest);
  }

  /** One after the other, each time all. */
  async #write(): Promise<void> {
    const write = async (): Promise<void> => await writeEntries(this.#directory, [...this.#entries]);
    this.#written = this.#written.then(write, write);
    await this.#written;
  }
}

function isOf(
  image: string,
  wanted: { readonly registry: string; readonly repository: string | undefined },
): boolean {
  try {
    const { registry, repository } = parseReference(image);
    return registry === wanted.registry && (wanted.repository ?? repository) === repository;
  } catch {
    return false;
  }
}

async function readEntries(directory: string): Promise<v.InferOutput<typeof EntriesSchema>> {
  const text = await ifExists(readFile(join(directory, "credentials"), "utf8"));
  if (text === undefined) return [];
  const { nonce, tag, data } = v.parse(EnvelopeSchema, JSON.parse(text));
  const decipher = createDecipheriv(CIPHER, await readKey(directory), bytesOf(nonce));
  decipher.setAuthTag(bytesOf(tag));
  const plain = Buffer.concat([decipher.update(bytesOf(data)), decipher.final()]);
  return v.parse(EntriesSchema, JSON.parse(plain.toString("utf8")));
}

/** A reader sees the old or the new file. */
async function writeEntries(directory: string, entries: readonly [string, Credential][]): Promise<void> {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, await readKey(directory), nonce);
  const data = Buffer.concat([cipher.update(JSON.stringify(entries), "utf8"), cipher.final()]);
  const envelope = {
    version: 1,
    nonce: nonce.toString("base64"),
    tag: cipher.getAuthTag().toString("base64"),
    data: data.toString("base64"),
  };
  const path = join(directory, "credentials");
  await writePrivate(`${path}.new`, JSON.stringify(envelope));
  await rename(`${path}.new`, path);
}

/** The key; it is made when there is none. */
async function readKey(directory: string): Promise<Uint8Array> {
  const path = join(directory, "credentials.key");
  const known = await ifExists(readFile(path));
  if (known?.length === KEY_BYTES) return known;
  const key = randomBytes(KEY_BYTES);
  await writePrivate(`${path}.new`, key);
  await rename(`${path}.new`, path);
  return key;
}

async function writePrivate(path: string, content: string | Uint8Array): Promise<void> {
  const file = await open(path, "w", 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, "base64");
}
