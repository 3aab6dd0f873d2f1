/**
 * The inputs as images in the harbor's registry: `bench/NAME` with the tags `plain`, `gzip` and `esgz`.
 *
 * @module
 */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runEsgz } from "../esgz-command.ts";
import type { Harbor } from "../harbor/index.ts";
import { type BenchInputName, ensureBenchInput } from "./bench-inputs.ts";
import { writeTarLayout } from "./write-tar-layout.ts";

/** The place of an input as an OCI layout with uncompressed layers: `DIRECTORY`, tag `plain`. */
export async function ensureBenchLayout(name: BenchInputName, cache: string): Promise<string> {
  const directory = join(cache, "layouts", name);
  if (existsSync(join(directory, "index.json"))) return directory;
  await writeTarLayout(directory, { tars: ensureBenchInput(name, cache).tars });
  return directory;
}

/** Makes sure that the registry has the input as `gzip` and `esgz`; returns the repository. */
export async function ensureBenchImage(
  name: BenchInputName,
  options: { readonly cache: string; readonly harbor: Harbor },
): Promise<string> {
  const repository = `bench/${name}`;
  const layout = await ensureBenchLayout(name, options.cache);
  for (const [tag, format] of [
    ["gzip", "gzip"],
    ["esgz", "estargz"],
  ] as const) {
    const done = join(options.cache, `pushed-${name}-${tag}`);
    if (existsSync(done)) continue;
    runEsgz(
      "convert",
      `oci:${layout}:plain`,
      `${options.harbor.direct}/${repository}:${tag}`,
      "--format",
      format,
      "-q",
    );
    writeFileSync(done, "");
  }
  return repository;
}
