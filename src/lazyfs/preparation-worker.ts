/**
 * Worker side: makes layers of their tables of contents, and merges them.
 *
 * @module
 */
import { collectGarbage, failureOf, serveJobs } from "../workers/index.ts";
import { makeLayer } from "./make-layer.ts";
import { mergeStoredMetas } from "./merge-stored-metas.ts";
import type { PreparationAnswer, PreparationJob } from "./preparation-job.ts";
import { practisePreparation } from "./rehearse-preparation.ts";

const ACTION = "prepare image";
/** An image's layers come together, and its merge behind them; then what was prepared is started. */
const COLLECT_MS = 1500;

async function answer(job: PreparationJob): Promise<PreparationAnswer> {
  switch (job.kind) {
    case "make": {
      const made = await makeLayer(job.material);
      if (made.kind === "made") return made;
      const { cause, ...declined } = made;
      return { ...declined, failure: cause === undefined ? undefined : failureOf(cause, ACTION) };
    }
    case "merge":
      return { kind: "merged", ...(await mergeStoredMetas(job.parts)) };
    case "practise":
      if (job.isFirst) collectGarbage("thorough");
      await practisePreparation(job.layers);
      return { kind: "practised" };
  }
}

function buffersOf(result: PreparationAnswer): ArrayBuffer[] {
  const views =
    result.kind === "made" ? [result.meta, result.table] : result.kind === "merged" ? [result.bytes] : [];
  return views.map(({ buffer }) => buffer).filter((buffer) => buffer instanceof ArrayBuffer);
}

serveJobs(() => answer, { action: ACTION, transferOf: buffersOf, collectAfterMs: COLLECT_MS });
