/**
 * The metrics of a server, now.
 *
 * @module
 */
import { type MetricValues, renderMetrics } from "./metrics.ts";
import type { Services } from "./services.ts";
import { packageVersion } from "./package-version.ts";

/** The text for one who asks. */
export async function metricsOf(
  services: Services,
  options: { readonly controlRequests: number },
): Promise<string> {
  const { store, views, fetcher, clients, counts, config, start } = services;
  const mounts = views.mounts();
  const { layers } = await store.usage();
  const { requests, bytes } = clients.traffic;
  return await renderMetrics({
    fetch: fetcher.statistics(),
    counts,
    reads: await readsOf(services),
    mounts: countBy(mounts.map(({ method }) => method)),
    images: store.images().length,
    layers: layers.length,
    storeBytes: layers.reduce((sum, { dataBytes, recordBytes }) => sum + dataBytes + recordBytes, 0),
    quotaBytes: config.quotaBytes,
    requests: { registry: requests, registryBytes: bytes, control: options.controlRequests },
    restarts: start.restarts,
    startedMs: start.startedMs,
    version: packageVersion(),
  } satisfies MetricValues);
}

/** Over the mounts that stand. */
async function readsOf({ views }: Services): Promise<MetricValues["reads"]> {
  const total = { reads: 0, hits: 0, hitBytes: 0 };
  for (const { id } of views.mounts()) {
    const { reads = 0, hits = 0, hitBytes = 0 } = (await views.statistics(id)) ?? {};
    total.reads += reads;
    total.hits += hits;
    total.hitBytes += hitBytes;
  }
  return total;
}

function countBy(names: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}
