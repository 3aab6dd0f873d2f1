/**
 * The program of a worker thread: inflates, verifies, writes. It has no network and makes no plans.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { EsgzError } from "../errors/index.ts";
import { serveJobs } from "../workers/index.ts";
import type { FetchTable } from "./fetch-table.ts";
import type { FileTable } from "./file-table.ts";
import { createLinks, createSpecials, createSymlinks, finishDirectories } from "./finish-nodes.ts";
import type { MetadataContext } from "./node-metadata.ts";
import { OmissionList } from "./omissions.ts";
import { placeStaged } from "./place-staged.ts";
import { RootPaths } from "./root-paths.ts";
import { scanFiles } from "./scan-files.ts";
import { LayerStager } from "./stage-layer.ts";
import type { JobResult, WorkerJob, WorkerStart } from "./worker-protocol.ts";
import { createDataless, createShared, finishShared, writeBatch, type WriteContext } from "./write-batch.ts";

/** A worker's state: its tables, and the layers that it stages. */
class PullWorker {
  readonly #paths: RootPaths;
  readonly #metadata: MetadataContext;
  readonly #stages = new Map<number, LayerStager>();
  #files: FileTable | undefined;
  #fetch: FetchTable | undefined;

  constructor({ directory }: WorkerStart) {
    this.#paths = new RootPaths(directory);
    this.#metadata = {
      uid: process.geteuid?.() ?? 0,
      gid: process.getegid?.() ?? 0,
      umask: readUmask(),
      omissions: new OmissionList(),
    };
  }

  run(job: WorkerJob): JobResult {
    switch (job.kind) {
      case "files":
        this.#files = job.table;
        return {};
      case "fetch":
        this.#fetch = job.table;
        return {};
      case "write":
        writeBatch(this.#context(), this.#fetchTable(), { ...job, bytes: new Uint8Array(job.buffer) });
        return {};
      case "scan":
      case "create-dataless":
      case "create-shared":
      case "finish-shared":
        FILE_JOBS[job.kind](this.#context(), job.files);
        return {};
      case "stage-open":
      case "stage-push":
      case "stage-finish":
        return this.#runStage(job);
      default:
        return this.#runFinish(job);
    }
  }

  #runStage(job: Extract<WorkerJob, { stage: number }>): JobResult {
    if (job.kind === "stage-open") {
      this.#stages.set(job.stage, new LayerStager(job.place, this.#metadata));
      return {};
    }
    const stage = this.#stages.get(job.stage);
    if (stage === undefined) throw missing("stage");
    if (job.kind === "stage-push") {
      stage.push(job.bytes);
      return {};
    }
    this.#stages.delete(job.stage);
    stage.finish();
    return {};
  }

  #runFinish(
    job: Extract<
      WorkerJob,
      { kind: "place" | "symlinks" | "specials" | "links" | "directories" | "omissions" }
    >,
  ): JobResult {
    const context = { paths: this.#paths, metadata: this.#metadata };
    switch (job.kind) {
      case "place":
        placeStaged(this.#paths, job.moves);
        return {};
      case "symlinks":
        createSymlinks(context, job.nodes);
        return {};
      case "specials":
        return { missing: createSpecials(context, job.nodes) };
      case "links":
        createLinks(context, job.nodes);
        return {};
      case "directories":
        finishDirectories(context, job.nodes);
        return {};
      case "omissions":
        return { omissions: this.#metadata.omissions.toArray() };
    }
  }

  #context(): WriteContext {
    if (this.#files === undefined) throw missing("file table");
    return { paths: this.#paths, files: this.#files, metadata: this.#metadata };
  }

  #fetchTable(): FetchTable {
    if (this.#fetch === undefined) throw missing("fetch table");
    return this.#fetch;
  }
}

const FILE_JOBS = {
  scan: scanFiles,
  "create-dataless": createDataless,
  "create-shared": createShared,
  "finish-shared": finishShared,
} as const;

function missing(what: string): EsgzError {
  return new EsgzError("INTERNAL", `Cannot do job: the worker has no ${what}`);
}

/** From the kernel, because asking through `umask(2)` changes it for a moment, for all threads. */
function readUmask(): number | undefined {
  try {
    const digits = /^Umask:\s*([0-7]+)$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1];
    return digits === undefined ? undefined : Number.parseInt(digits, 8);
  } catch {
    return undefined;
  }
}

serveJobs(
  (start: WorkerStart) => {
    const worker = new PullWorker(start);
    return (job: WorkerJob) => worker.run(job);
  },
  { action: "write image" },
);
