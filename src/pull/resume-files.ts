/**
 * Which files are there already, and which have to be made before their content comes.
 *
 * @module
 */
import type { FetchTable } from "./fetch-table.ts";
import type { FileTable } from "./file-table.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** Files that a worker looks at in one go. */
const FILES_PER_JOB = 512;

/** Has all files of an earlier pull verified; returns the bytes that are right. */
export async function readPresentFiles(
  table: FileTable,
  { pool, signal }: { readonly pool: WorkerPool; readonly signal: AbortSignal },
): Promise<number> {
  const all = Uint32Array.from({ length: table.files }, (_, file) => file);
  await runInSlices(all, async (files) => {
    signal.throwIfAborted();
    await pool.run({ kind: "scan", files });
  });
  let bytes = 0;
  for (let piece = 0; piece < table.pieces; piece += 1) {
    if (table.present[piece] === 1) bytes += table.pieceSize[piece] ?? 0;
  }
  return bytes;
}

/** Makes the files that need no batch (they hold no data) or several (each batch then finds them). */
export async function sharedFilesToCreate(
  table: FileTable,
  fetch: FetchTable,
  { pool }: { readonly pool: WorkerPool },
): Promise<void> {
  const dataless: number[] = [];
  const shared: number[] = [];
  for (let file = 0; file < table.files; file += 1) {
    if (table.pieceStart[file] === table.pieceStart[file + 1]) dataless.push(file);
    else if (fetch.whole[file] !== 1 && !hasPresentPiece(table, file)) shared.push(file);
  }
  const create = (kind: "create-dataless" | "create-shared") => async (files: Uint32Array) => {
    await pool.run({ kind, files });
  };
  await Promise.all([
    runInSlices(Uint32Array.from(dataless), create("create-dataless")),
    runInSlices(Uint32Array.from(shared), create("create-shared")),
  ]);
}

/** The files that workers did not finish when they wrote them. */
export function filesToFinish(table: FileTable, whole: Uint8Array): Uint32Array {
  const files: number[] = [];
  for (let file = 0; file < table.files; file += 1) {
    if (table.pieceStart[file] !== table.pieceStart[file + 1] && whole[file] !== 1) files.push(file);
  }
  return Uint32Array.from(files);
}

/** Runs a job over slices of a list, all slices at once. */
export async function runInSlices(
  files: Uint32Array,
  run: (files: Uint32Array) => Promise<void>,
): Promise<void> {
  const jobs: Promise<void>[] = [];
  for (let at = 0; at < files.length; at += FILES_PER_JOB)
    jobs.push(run(files.slice(at, at + FILES_PER_JOB)));
  await Promise.all(jobs);
}

function hasPresentPiece(table: FileTable, file: number): boolean {
  for (let piece = table.pieceStart[file] ?? 0; piece < (table.pieceStart[file + 1] ?? 0); piece += 1) {
    if (table.present[piece] === 1) return true;
  }
  return false;
}
