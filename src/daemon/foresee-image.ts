/**
 * Brings what starting an image's program will read, while it is being mounted.
 *
 * @module
 */
import { DisposableList, systemClock } from "../async/index.ts";
import { type ForeseeOptions, foreseeProgram, ImageFiles, MetaFile } from "../lazyfs/index.ts";
import type { Digest, ImageConfig } from "../oci/index.ts";
import type { Layer } from "../store/index.ts";
import { containerWords, DEFAULT_PATH } from "../runtime/index.ts";
import type { StartRequest } from "./control-protocol.ts";
import type { Services } from "./services.ts";

/** Which program of what image. */
export interface ForeseeImageOptions {
  readonly config: ImageConfig;
  /** What differs from what the image says. */
  readonly start?: StartRequest | undefined;
  /** The lowest first. */
  readonly layers: readonly Digest[];
  /** The path of their merged metadata, where there is one; else files are found layer by layer. */
  readonly mergedMeta?: string | undefined;
  readonly signal: AbortSignal;
}

/** Of 32 KiB each, for each metadata image: a program is found with few. */
const META_PAGES = 32;
/** Bytes of layers that are brought whole: it takes about as long as one file, on all but slow links. */
const SMALL_LAYERS = 1 << 20;

/** Resolves when what could be foreseen is there. It never rejects: whatever fails here, a reader will see. */
export async function foreseeImage(
  { uses, fetcher, log }: Pick<Services, "uses" | "fetcher" | "log">,
  options: ForeseeImageOptions,
): Promise<void> {
  const { config, start = {}, mergedMeta, signal } = options;
  try {
    await using used = await uses.use(options.layers);
    const byDigest = new Map(used.layers.map((layer) => [layer.digest, layer]));
    const layers = options.layers.flatMap((digest) => byDigest.get(digest) ?? []);
    if (layers.length < options.layers.length || layers.every(({ complete }) => complete)) return;
    await using metas = new DisposableList();
    const open = (path: string): MetaFile => metas.use(new MetaFile(path, { maxPages: META_PAGES }));
    const files = new ImageFiles(
      mergedMeta === undefined
        ? layers.map((layer) => ({ meta: open(layer.metaPath), layers: [layer] }))
        : [{ meta: open(mergedMeta), layers }],
    );
    const program = foreseeProgram({
      files,
      fetcher,
      clock: systemClock,
      ...processOf(config, start),
      signal,
    });
    const [report] = await Promise.all([program, bringSmallLayers(layers, { fetcher, signal })]);
    log.debug(report, "foresaw a program");
  } catch (error) {
    if (!signal.aborted) log.debug({ err: error }, "cannot foresee a program");
  }
}

/**
 * Brings small layers whole, the upper ones before: an application's own files, as a rule, each of which would take a
 * round trip when it is read. Where an image says what is read first, nothing else is guessed.
 */
async function bringSmallLayers(
  layers: readonly Layer[],
  { fetcher, signal }: Pick<Services, "fetcher"> & { readonly signal: AbortSignal },
): Promise<void> {
  if (layers.some(({ source }) => source.prefetchSize > 0)) return;
  const small: Layer[] = [];
  let bytes = 0;
  for (const layer of layers.toReversed()) {
    const { blobSize } = layer.source;
    if (layer.complete || bytes + blobSize > SMALL_LAYERS) continue;
    bytes += blobSize;
    small.push(layer);
  }
  const bring = async (layer: Layer): Promise<void> => {
    const all = { offset: 0, size: layer.dataSize };
    // Whatever fails here, a reader will see.
    await fetcher.ensure(layer, all, { priority: "prefetch", signal }).catch(() => undefined);
  };
  await Promise.all(small.map(bring));
}

/** The words, variables and directory of the process; no words where nobody names any. */
function processOf(
  image: ImageConfig,
  { command, entrypoint, workdir }: StartRequest,
): Pick<ForeseeOptions, "command" | "env" | "workdir"> {
  const config = image.config ?? {};
  return {
    command: containerWords(config, { command, entrypoint }),
    env: [`PATH=${DEFAULT_PATH}`, ...(config.Env ?? [])],
    workdir: workdir ?? config.WorkingDir ?? undefined,
  };
}
