/**
 * `npm run bench -- convert`: a layer to eStargz, against gzip, pigz and the reference library.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { probeLibdeflate } from "../src/estargz/index.ts";
import { esgzCommand } from "./esgz-command.ts";
import { findCommand } from "./find-command.ts";
import { ensureBenchLayout } from "./inputs/bench-images.ts";
import { type BenchInputName, ensureBenchInput } from "./inputs/bench-inputs.ts";
import type { BenchContext } from "./bench-context.ts";
import { compare, type Comparison, type Contender, measureCommand } from "./measure/index.ts";

const LEVEL = "6";

/** Measures one input. Uncompressed layers are read from disk, compressed ones written to disk. */
export async function benchConvert(context: BenchContext, input: BenchInputName): Promise<Comparison> {
  const layout = await ensureBenchLayout(input, context.cache);
  const { tars } = ensureBenchInput(input, context.cache);
  const contenders: Contender[] = [esgzContender("esgz convert, zlib", layout, "zlib")];
  if (probeLibdeflate().usable)
    contenders.push(esgzContender("esgz convert, libdeflate", layout, "libdeflate"));
  else context.say("skipped: esgz with libdeflate (the library is missing)");
  const reference = buildReference(context.cache);
  if (reference === undefined) context.say("skipped: the reference library (needs go and its module)");
  else {
    const command = `${reference} build -level ${LEVEL} -workers 2 "$1" "$2"`;
    contenders.push(shellContender("reference library, 2 workers", tars, command));
  }
  for (const [name, command] of [
    ["gzip", `gzip -${LEVEL}`],
    ["pigz", `pigz -p 2 -${LEVEL}`],
  ] as const) {
    if (findCommand(name) === undefined) context.say(`skipped: ${name} (not installed)`);
    else contenders.push(shellContender(`${command}`, tars, `${command} < "$1" > "$2"`));
  }
  const title = `convert ${input}, level ${LEVEL}`;
  const standings = await compare(contenders, {
    rounds: context.rounds,
    onRun: (name, { wallSeconds }) => context.say(`${title}: ${name} ${wallSeconds.toFixed(2)} s`),
  });
  return { title, standings };
}

function esgzContender(name: string, layout: string, compressor: string): Contender {
  return {
    name,
    run: () =>
      withScratch(async (scratch) => {
        const target = `oci:${join(scratch, "out")}:x`;
        const argv = esgzCommand(
          "convert",
          `oci:${layout}:plain`,
          target,
          "--level",
          LEVEL,
          "--compressor",
          compressor,
          "-q",
        );
        const measurement = await measureCommand(argv);
        const kilobytes = execFileSync("du", ["-sk", "--apparent-size", join(scratch, "out/blobs")], {
          encoding: "utf8",
        });
        return { ...measurement, facts: { MB: megabytes(Number.parseInt(kilobytes, 10) * 1024) } };
      }),
  };
}

/** The witness of the interoperability tests, built once; undefined where it cannot be. */
function buildReference(cache: string): string | undefined {
  const program = join(cache, "reference");
  if (existsSync(program)) return program;
  const source = fileURLToPath(new URL("../test/interop/reference", import.meta.url));
  try {
    execFileSync("go", ["build", "-o", program, "."], {
      cwd: source,
      stdio: ["ignore", "ignore", "inherit"],
    });
    return program;
  } catch {
    return undefined;
  }
}

/** One run of a command for every layer, with $1 the tar and $2 the output. */
function shellContender(name: string, tars: readonly string[], command: string): Contender {
  return {
    name,
    run: () =>
      withScratch(async (scratch) => {
        const out = join(scratch, "out");
        const script = `for tar in "$@"; do set -- "$tar" "${out}.$(basename "$tar")"; ${command}; done`;
        const measurement = await measureCommand(["sh", "-ec", script, "sh", ...tars]);
        const bytes = tars.reduce((sum, tar) => sum + statSync(`${out}.${tar.split("/").at(-1)}`).size, 0);
        return { ...measurement, facts: { MB: megabytes(bytes) } };
      }),
  };
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e5) / 10;
}

async function withScratch<T>(work: (scratch: string) => Promise<T>): Promise<T> {
  const scratch = mkdtempSync(join(tmpdir(), "esgz-bench-"));
  try {
    return await work(scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
