/**
 * A layer's tar as the input of the writer of seekable layers.
 *
 * @module
 */
import type { ArchiveInput } from "../estargz/index.ts";
import { TarDecoder } from "../tar/index.ts";
import { orderEntries } from "./entry-order.ts";
import type { PathGlob } from "./path-glob.ts";
import { type PrioritizedPaths, selectPrioritized } from "./prioritized-paths.ts";
import type { SpooledEntry, TarSpool } from "./tar-spool.ts";

/** Batches for the writer. */
export type LayerInput = AsyncIterable<readonly ArchiveInput[]>;

/** The entries of a tar in its own order. With `lossless`, every byte of the stream is in them. */
export async function* inputFromTar(
  tar: AsyncIterable<Uint8Array>,
  options: { readonly lossless: boolean },
): AsyncGenerator<readonly ArchiveInput[]> {
  const decoder = new TarDecoder({ sparse: options.lossless ? "raw" : "expand" });
  for await (const chunk of tar) yield Array.from(decoder.push(chunk));
  yield Array.from(decoder.finish());
}

/** Chooses the prioritized files of a spooled layer. */
export function prioritizedOf(spool: TarSpool, globs: readonly PathGlob[]): PrioritizedPaths {
  return selectPrioritized(globs, new Set(spool.entries.map(({ path }) => path)));
}

/** The entries of a spooled tar: the given paths first, then a landmark, then the rest in its own order. */
export async function* inputFromSpool(
  spool: TarSpool,
  paths: readonly string[],
  options: { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<readonly ArchiveInput[]> {
  const { entries } = spool;
  const { first, dropped } = orderEntries(entries, paths);
  for (const index of first) {
    const entry = entries[index];
    if (entry !== undefined) yield* spool.readEntry(entry, options);
  }
  yield [{ kind: "landmark" }];
  const gone = new Set(startsOf(entries, [...first, ...dropped]));
  yield* withoutEntries(spool.readAll(options), gone);
}

function startsOf(entries: readonly SpooledEntry[], indexes: readonly number[]): number[] {
  return indexes.flatMap((index) => entries[index]?.start ?? []);
}

/** Leaves out entries by the offset of their header, with their content and padding. */
async function* withoutEntries(input: LayerInput, gone: ReadonlySet<number>): AsyncGenerator<ArchiveInput[]> {
  let skipping = false;
  for await (const batch of input) {
    const kept: ArchiveInput[] = [];
    for (const event of batch) {
      if (event.kind === "entry") skipping = gone.has(event.entry.headerOffset);
      else if (event.kind !== "data" && event.kind !== "padding") skipping = false;
      if (!skipping) kept.push(event);
    }
    yield kept;
  }
}
