/**
 * For long tests: the daemon as users run it.
 */
import { join } from "node:path";

/** What users run is compiled; `ESGZ_DIST` names the directory. What is read as TypeScript takes 30 MiB more a process. */
export async function daemonModule(): Promise<typeof import("../../src/daemon/index.ts")> {
  const built = process.env["ESGZ_DIST"];
  const path = built === undefined ? "../../src/daemon/index.ts" : join(built, "daemon/index.js");
  return (await import(path)) as typeof import("../../src/daemon/index.ts");
}
