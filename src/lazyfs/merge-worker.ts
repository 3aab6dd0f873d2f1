/**
 * Worker side: merges the metadata of layers.
 *
 * @module
 */
import { serveJobs } from "../workers/index.ts";
import { mergeStoredMetas } from "./merge-stored-metas.ts";

serveJobs(() => mergeStoredMetas, {
  action: "merge layers",
  transferOf: ({ bytes }) => [bytes.buffer],
});
