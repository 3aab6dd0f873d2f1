/**
 * Prometheus metrics: read from where they are counted when somebody asks, so that they cost nothing otherwise.
 *
 * @module
 */
import type { Registry } from "prom-client";
import type { FetchStatistics } from "../lazyfs/index.ts";
import type { EventCounts } from "./event-counts.ts";

/** What the metrics are made of. */
export interface MetricValues {
  readonly fetch: FetchStatistics;
  readonly counts: EventCounts;
  /** Reads that came through FUSE, over all mounts, and those of them that were answered at once. */
  readonly reads: { readonly reads: number; readonly hits: number; readonly hitBytes: number };
  /** Mounts by how they are shown. */
  readonly mounts: ReadonlyMap<string, number>;
  readonly images: number;
  readonly layers: number;
  readonly storeBytes: number;
  readonly quotaBytes: number | undefined;
  readonly requests: { readonly registry: number; readonly registryBytes: number; readonly control: number };
  readonly restarts: number;
  readonly startedMs: number;
  readonly version: string;
}

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly samples: (values: MetricValues) => readonly Sample[];
}

const one =
  (value: (values: MetricValues) => number): Metric["samples"] =>
  (values) => [[{}, value(values)]];
const counted = (name: string): Metric["samples"] => one(({ counts }) => counts.get(name));
const MS = 1000;

/** All metrics, in the order in which they are told; `docs/daemon.md` lists them. */
export const METRICS: readonly Metric[] = [
  counter(
    "esgz_reads_total",
    "Reads that came through FUSE; the kernel's cache answers others",
    one(({ reads }) => reads.reads),
  ),
  counter("esgz_read_hits_total", "Reads that were answered, by source", ({ reads, fetch }) => [
    [{ source: "disk" }, reads.hits],
    [{ source: "fetch" }, fetch.stalls],
    [{ source: "memory" }, Math.max(0, fetch.demandReads - fetch.stalls)],
  ]),
  counter(
    "esgz_read_hit_bytes_total",
    "Bytes of reads that were answered from the disk at once",
    one(({ reads }) => reads.hitBytes),
  ),
  counter(
    "esgz_demand_bytes_total",
    "Bytes that reads asked the fetcher for",
    one(({ fetch }) => fetch.demandBytes),
  ),
  counter(
    "esgz_stalls_total",
    "Reads that waited for the network",
    one(({ fetch }) => fetch.stalls),
  ),
  counter(
    "esgz_stall_seconds_total",
    "Time that reads waited for the network",
    one(({ fetch }) => fetch.stallMs / MS),
  ),
  counter("esgz_read_errors_total", "Reads that ended with an error", counted("view:read-failed")),
  counter(
    "esgz_fetches_total",
    "Range requests for layers",
    one(({ fetch }) => fetch.requests),
  ),
  counter("esgz_fetched_bytes_total", "Bytes of layers that came from registries, by reason", ({ counts }) =>
    ["demand", "readahead", "prefetch", "pull", "background"].map((reason) => [
      { reason },
      counts.get(`bytes:${reason}`),
    ]),
  ),
  counter(
    "esgz_snapshot_layers_total",
    "Layers that snapshotters' clients asked for, by result",
    ({ counts }) =>
      [
        ["remote", "snapshot:remote-prepared"],
        ["declined", "snapshot:declined"],
      ].map(([result = "", event = ""]) => [{ result }, counts.get(event)]),
  ),
  counter(
    "esgz_snapshot_prepare_seconds_total",
    "Time until layers that clients asked for were mounted",
    one(({ counts }) => counts.get("snapshot:prepare-ms") / MS),
  ),
  counter(
    "esgz_snapshot_restore_failures_total",
    "Layers of snapshots that could not be mounted again",
    counted("snapshot:restore-failed"),
  ),
  counter("esgz_fetch_failures_total", "Requests for layers that failed", counted("fetch:fetch-failed")),
  counter(
    "esgz_fetch_retries_total",
    "Requests for layers that were tried again",
    one(({ fetch }) => fetch.retries),
  ),
  counter(
    "esgz_hedged_requests_total",
    "Slow requests that got a second one beside them",
    one(({ fetch }) => fetch.hedged),
  ),
  counter(
    "esgz_verification_failures_total",
    "Chunks and blobs that did not match their digests, by where they came from",
    ({ fetch, counts }) => [
      [{ from: "registry" }, fetch.verificationFailures],
      [
        { from: "disk" },
        counts.get("store:chunk-rejected") +
          counts.get("store:content-rejected") +
          counts.get("view:view-changed"),
      ],
    ],
  ),
  counter(
    "esgz_prefetched_bytes_total",
    "Bytes that came before somebody read them",
    one(({ fetch }) => fetch.prefetchedBytes),
  ),
  counter(
    "esgz_prefetch_used_bytes_total",
    "Bytes of those that were read later",
    one(({ fetch }) => fetch.prefetchUsedBytes),
  ),
  counter(
    "esgz_copied_chunks_total",
    "Chunks that were copied from other layers",
    one(({ fetch }) => fetch.copiedChunks),
  ),
  counter("esgz_evictions_total", "Layers that were given up for room", counted("store:layer-evicted")),
  counter("esgz_evicted_bytes_total", "Bytes of layers that were given up for room", counted("evictedBytes")),
  counter("esgz_disk_full_total", "Layers that began to be served from memory", counted("fetch:disk-full")),
  gauge("esgz_fetch_queue", "What waits or is under way", ({ fetch }) =>
    Object.entries(fetch.queueLengths).map(([queue, length]) => [{ queue }, length]),
  ),
  gauge("esgz_mounts", "Mounts, by how they are shown", ({ mounts }) =>
    ["local", "erofs-file", "erofs-loop", "tree"].map((method) => [{ method }, mounts.get(method) ?? 0]),
  ),
  gauge(
    "esgz_images",
    "Images of the store",
    one(({ images }) => images),
  ),
  gauge(
    "esgz_layers",
    "Layers of the store",
    one(({ layers }) => layers),
  ),
  gauge(
    "esgz_store_bytes",
    "What layers take on the disk",
    one(({ storeBytes }) => storeBytes),
  ),
  gauge(
    "esgz_store_quota_bytes",
    "What layers may take on the disk; 0 is no bound",
    one(({ quotaBytes }) => quotaBytes ?? 0),
  ),
  counter(
    "esgz_registry_requests_total",
    "Requests to registries of any kind",
    one(({ requests }) => requests.registry),
  ),
  counter(
    "esgz_registry_bytes_total",
    "Bytes that came from registries",
    one(({ requests }) => requests.registryBytes),
  ),
  counter(
    "esgz_control_requests_total",
    "Requests of commands",
    one(({ requests }) => requests.control),
  ),
  counter(
    "esgz_server_restarts_total",
    "Servers that were started after the first one",
    one(({ restarts }) => restarts),
  ),
  gauge(
    "esgz_start_time_seconds",
    "When the daemon was started, since 1970",
    one(({ startedMs }) => startedMs / MS),
  ),
  gauge("esgz_info", "What runs", ({ version }) => [[{ version }, 1]]),
  gauge(
    "process_resident_memory_bytes",
    "Resident memory of the server",
    one(() => process.memoryUsage.rss()),
  ),
  counter(
    "process_cpu_seconds_total",
    "Processor time of the server",
    one(() => cpuSeconds()),
  ),
];

/** The text of all metrics. */
export async function renderMetrics(values: MetricValues): Promise<string> {
  const { Counter, Gauge, Registry: Metrics } = await import("prom-client");
  const registry: Registry = new Metrics();
  for (const { name, help, type, samples } of METRICS) {
    const rows = samples(values);
    const options = { name, help, labelNames: Object.keys(rows[0]?.[0] ?? {}), registers: [registry] };
    if (type === "gauge") {
      const metric = new Gauge(options);
      for (const [labels, value] of rows) metric.set(labels, value);
    } else {
      const metric = new Counter(options);
      for (const [labels, value] of rows) metric.inc(labels, value);
    }
  }
  return await registry.metrics();
}

function counter(name: string, help: string, samples: Metric["samples"]): Metric {
  return { name, help, type: "counter", samples };
}

function gauge(name: string, help: string, samples: Metric["samples"]): Metric {
  return { name, help, type: "gauge", samples };
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
