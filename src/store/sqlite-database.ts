/**
 * A SQLite database in WAL mode whose commits wait for the disk, and whose failures are the store's.
 *
 * @module
 */
import { realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { EsgzError, isEsgzError, messageOf } from "../errors/index.ts";
import { type Digest, isDigest } from "../oci/index.ts";
import { storeInvalid } from "./store-error.ts";

/** A row by its columns. */
export type Row = Readonly<Record<string, unknown>>;

/** SQLITE_FULL, and SQLITE_IOERR_SHMSIZE: no room for the index of the log. */
const FULL_CODES: ReadonlySet<number> = new Set([13, 10 | (19 << 8)]);

/** SQLITE_CORRUPT and SQLITE_NOTADB, whatever SQLite adds to say more. */
const DAMAGE_CODES: ReadonlySet<number> = new Set([11, 26]);

/** What SQLite takes for a path, with the longest name that it makes of it (MAX_PATHNAME of os_unix.c). */
const PATH_LIMIT = 512 - "-journal".length;

/** An open database. All methods throw `STORE_INVALID` where it is damaged, and `NO_SPACE`. */
export class SqliteDatabase implements Disposable {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /**
   * Opens or creates a database.
   *
   * @param options.migrate brings its tables to the version of this program.
   * @throws {EsgzError} `STORE_INVALID` if it is damaged or of a later version, or its path is too long; `NO_SPACE`
   */
  static open(path: string, options: { readonly migrate: (database: DatabaseSync) => void }): SqliteDatabase {
    return translated(() => {
      assertShort(path);
      const database = new DatabaseSync(path, { enableForeignKeyConstraints: true });
      try {
        database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
        const check = database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
        if (check !== "ok") throw databaseDamaged(path, String(check).replaceAll("\n", " "));
        options.migrate(database);
        return new SqliteDatabase(database);
      } catch (error) {
        database.close();
        if (DAMAGE_CODES.has(codeOf(error) & 0xff)) throw databaseDamaged(path, messageOf(error), error);
        throw error;
      }
    });
  }

  /** Does all of the work or nothing. */
  transaction(work: () => void): void {
    translated(() => this.#database.exec("BEGIN IMMEDIATE"));
    try {
      work();
      translated(() => this.#database.exec("COMMIT"));
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  /** Runs a statement; the number of rows that it changed. Its parameters have no numbers: Node 22 knows none. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return translated(() => Number(this.#database.prepare(sql).run(...values).changes));
  }

  /** The rows of a query. */
  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return translated(() => this.#database.prepare(sql).all(...values));
  }

  /** The digests in the first column of a query. */
  digests(sql: string, ...values: SQLInputValue[]): Digest[] {
    return this.all(sql, ...values).map((row) => checkedDigest(Object.values(row)[0]));
  }

  /** Whether commits wait for the disk, until it is disposed of. In WAL mode all that is committed outlives the process. */
  synchronous({ durable }: { readonly durable: boolean }): Disposable {
    if (durable) return { [Symbol.dispose]: () => undefined };
    translated(() => this.#database.exec("PRAGMA synchronous = NORMAL"));
    return { [Symbol.dispose]: () => translated(() => this.#database.exec("PRAGMA synchronous = FULL")) };
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) translated(() => this.#database.close());
  }
}

/** SQLite follows symbolic links before it measures. */
function assertShort(path: string): void {
  const bytes = Buffer.byteLength(join(realpathSync(dirname(path)), basename(path)));
  if (bytes <= PATH_LIMIT) return;
  throw storeInvalid("store database", {
    expected: `a path of at most ${PATH_LIMIT} bytes`,
    found: `${bytes} bytes: "${path}"`,
  });
}

/** Layers lie beside the database, and say themselves what they are. */
function databaseDamaged(path: string, found: string, cause?: unknown): EsgzError {
  return storeInvalid(`store database "${path}"`, {
    expected: "a sound one",
    found: `${found} (once it is moved away with "${path}-wal" and "${path}-shm", the store begins another: layers stay until the next prune, images and mounts are forgotten)`,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** What SQLite says of an error; 0 for one that is not its own. */
function codeOf(error: unknown): number {
  const isCoded = typeof error === "object" && error !== null && "errcode" in error;
  return isCoded && typeof error.errcode === "number" ? error.errcode : 0;
}

/** A digest in a row. @throws {EsgzError} `STORE_INVALID` if it is none */
export function digestIn(row: Row, column: string): Digest {
  return checkedDigest(row[column]);
}

function checkedDigest(value: unknown): Digest {
  if (isDigest(value)) return value;
  throw storeInvalid("store database", { expected: "a digest", found: JSON.stringify(value) ?? "nothing" });
}

/** A text in a row. @throws {EsgzError} `STORE_INVALID` if it is none */
export function textIn(row: Row, column: string): string {
  const value = row[column];
  if (typeof value === "string") return value;
  throw storeInvalid("store database", { expected: `a text in ${column}`, found: typeof value });
}

/** A number in a row. @throws {EsgzError} `STORE_INVALID` if it is none */
export function numberIn(row: Row, column: string): number {
  const value = row[column];
  if (typeof value === "number") return value;
  throw storeInvalid("store database", { expected: `a number in ${column}`, found: typeof value });
}

/** Runs database work; what SQLite throws becomes an error of the store. */
function translated<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (isEsgzError(error)) throw error;
    if (FULL_CODES.has(codeOf(error)))
      throw new EsgzError("NO_SPACE", "Cannot write store database: expected room on the disk, got none");
    throw storeInvalid("store database", { expected: "a sound one", found: messageOf(error), cause: error });
  }
}
