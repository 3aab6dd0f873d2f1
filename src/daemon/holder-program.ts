/**
 * The holder as a program: `node holder-program.ts OPTIONS`, with {@link HolderOptions} as JSON.
 *
 * @module
 */
import { messageOf } from "../errors/index.ts";
import { logHolder } from "./holder-log.ts";
import { type HolderOptions, runHolder } from "./run-holder.ts";

const options = JSON.parse(process.argv[2] ?? "") as HolderOptions;
process.title = "esgz-holder";
try {
  await runHolder(options);
} catch (error) {
  logHolder("error", messageOf(error));
  process.exitCode = 1;
}
