/**
 * A registry that lives in a directory and survives crashes.
 *
 * Every name appears by `rename` of a file whose bytes are on the disk already, so a reader (and a restart after a
 * crash) sees the whole thing or nothing. See `directory-layout.ts` for what lies where.
 *
 * @module
 */
import { type FileHandle, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "../async/index.ts";
import { ensureDirectory, ifExists, replaceFile, syncPath } from "../files/index.ts";
import { type Digest, isDigest } from "../oci/index.ts";
import { claimDirectory } from "./directory-claim.ts";
import { DiskContent, DiskUpload } from "./disk-file.ts";
import { DirectoryLayout } from "./directory-layout.ts";
import { storageError } from "./registry-problem.ts";
import type {
  ContentReader,
  RecordCollection,
  RecordStat,
  RegistryStorage,
  StoredStat,
  UploadKey,
  UploadWriter,
} from "./registry-storage.ts";
import { removeFile, statFile, touchFile } from "./stat-file.ts";

/**
 * Opens a directory as a registry, creating it if needed, and clears what a crash left half-written.
 * Only one registry may have a directory open at a time.
 *
 * @throws {EsgzError} `ALREADY_EXISTS` while another registry has it open; `IO_FAILED`, `NO_SPACE`
 */
export async function openDirectoryStorage(
  root: string,
  options: { readonly clock: Clock },
): Promise<RegistryStorage> {
  const layout = new DirectoryLayout(root);
  const opening = <T>(work: () => Promise<T>): Promise<T> => guarded(`open registry "${root}"`, work);
  await opening(() => ensureDirectory(layout.blobs));
  const claim = await claimDirectory(root);
  try {
    await opening(() => rm(layout.temp, { recursive: true, force: true }));
    for (const folder of [layout.temp, layout.repositories]) await opening(() => ensureDirectory(folder));
  } catch (error) {
    await claim[Symbol.asyncDispose]();
    throw error;
  }
  return new DirectoryStorage(layout, { ...options, claim });
}

class DirectoryStorage implements RegistryStorage {
  readonly #layout: DirectoryLayout;
  readonly #clock: Clock;
  readonly #claim: AsyncDisposable;
  #temporaries = 0;

  constructor(
    layout: DirectoryLayout,
    { clock, claim }: { readonly clock: Clock; readonly claim: AsyncDisposable },
  ) {
    this.#layout = layout;
    this.#clock = clock;
    this.#claim = claim;
  }

  statContent(digest: Digest): Promise<StoredStat | undefined> {
    return guarded(`look up ${digest}`, () => statFile(this.#layout.content(digest)));
  }

  openContent(digest: Digest): Promise<ContentReader | undefined> {
    return guarded(`open ${digest}`, async () => {
      const handle = await ifExists(open(this.#layout.content(digest), "r"));
      return handle === undefined ? undefined : new DiskContent(handle, await sizeOf(handle));
    });
  }

  writeContent(digest: Digest, bytes: Uint8Array): Promise<void> {
    return guarded(`write ${digest}`, () => this.#write(this.#layout.content(digest), bytes));
  }

  deleteContent(digest: Digest): Promise<void> {
    return guarded(`delete ${digest}`, async () => {
      await removeFile(this.#layout.content(digest));
    });
  }

  async *listContent(): AsyncIterable<StoredStat & { readonly digest: Digest }> {
    for (const algorithm of await namesIn(this.#layout.blobs)) {
      for (const prefix of await namesIn(join(this.#layout.blobs, algorithm))) {
        for (const hex of await namesIn(join(this.#layout.blobs, algorithm, prefix))) {
          const digest = `${algorithm}:${hex}`;
          const stat = isDigest(digest) ? await this.statContent(digest) : undefined;
          if (isDigest(digest) && stat !== undefined) yield { digest, ...stat };
        }
      }
    }
  }

  createUpload(key: UploadKey): Promise<void> {
    return guarded("begin an upload", async () => {
      await ensureDirectory(this.#layout.uploads(key.repository));
      await (await open(this.#layout.upload(key), "wx", 0o644)).close();
    });
  }

  openUpload(key: UploadKey): Promise<UploadWriter | undefined> {
    return guarded("open an upload", async () => {
      const handle = await ifExists(open(this.#layout.upload(key), "r+"));
      return handle === undefined ? undefined : new DiskUpload(handle, await sizeOf(handle));
    });
  }

  commitUpload(key: UploadKey, digest: Digest): Promise<void> {
    return guarded(`store ${digest}`, async () => {
      const [path, target] = [this.#layout.upload(key), this.#layout.content(digest)];
      await syncPath(path);
      await touchFile(path, this.#clock.wallMs());
      await ensureDirectory(dirname(target));
      await rename(path, target);
      await syncPath(dirname(target));
    });
  }

  deleteUpload(key: UploadKey): Promise<boolean> {
    return guarded("drop an upload", () => removeFile(this.#layout.upload(key)));
  }

  async *listUploads(): AsyncIterable<StoredStat & UploadKey> {
    for await (const { repository } of this.#walkRepositories()) {
      for (const id of await namesIn(this.#layout.uploads(repository))) {
        const stat = await statFile(this.#layout.upload({ repository, id }));
        if (stat !== undefined) yield { repository, id, ...stat };
      }
    }
  }

  async readRecord(collection: RecordCollection, name: string): Promise<Uint8Array | undefined> {
    return await guarded(`read "${name}"`, () => ifExists(readFile(this.#layout.record(collection, name))));
  }

  writeRecord(collection: RecordCollection, name: string, value: Uint8Array): Promise<void> {
    return guarded(`write "${name}"`, () => this.#write(this.#layout.record(collection, name), value));
  }

  touchRecord(collection: RecordCollection, name: string): Promise<boolean> {
    const path = this.#layout.record(collection, name);
    return guarded(`touch "${name}"`, () => touchFile(path, this.#clock.wallMs()));
  }

  deleteRecord(collection: RecordCollection, name: string): Promise<boolean> {
    return guarded(`delete "${name}"`, () => removeFile(this.#layout.record(collection, name)));
  }

  listRecords(collection: RecordCollection): Promise<readonly RecordStat[]> {
    return guarded("list records", async () => {
      const names = await namesIn(this.#layout.collection(collection));
      const stats = names.map(async (name) => {
        const stat = await statFile(this.#layout.record(collection, name));
        return stat === undefined ? [] : [{ name, changedMs: stat.changedMs }];
      });
      return (await Promise.all(stats)).flat();
    });
  }

  async *listRepositories(): AsyncIterable<string> {
    for await (const { repository, folders } of this.#walkRepositories()) {
      if (await this.#holdsRecords(repository, folders)) yield repository;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Every other handle belongs to whoever opened it.
    await this.#claim[Symbol.asyncDispose]();
  }

  async #write(path: string, bytes: Uint8Array): Promise<void> {
    this.#temporaries += 1;
    const temporary = join(this.#layout.temp, `${this.#temporaries}`);
    await ensureDirectory(dirname(path));
    await replaceFile(path, bytes, { temporary });
  }

  /** Every folder that has record folders of its own, with their names. */
  async *#walkRepositories(
    repository = "",
  ): AsyncIterable<{ readonly repository: string; readonly folders: readonly string[] }> {
    const path = repository === "" ? this.#layout.repositories : this.#layout.repository(repository);
    const names = await namesIn(path);
    const folders = names.filter((name) => name.startsWith("_"));
    if (repository !== "" && folders.length > 0) yield { repository, folders };
    for (const name of names) {
      if (name.startsWith("_")) continue;
      yield* this.#walkRepositories(repository === "" ? name : `${repository}/${name}`);
    }
  }

  async #holdsRecords(repository: string, folders: readonly string[]): Promise<boolean> {
    for (const folder of folders) {
      if (folder === "_uploads") continue;
      if ((await namesIn(join(this.#layout.repository(repository), folder))).length > 0) return true;
    }
    return false;
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return (await ifExists(readdir(folder))) ?? [];
}

async function sizeOf(handle: FileHandle): Promise<number> {
  return (await handle.stat()).size;
}

async function guarded<T>(action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storageError(action, error);
  }
}
