/**
 * Taking away what no repository needs, while the registry serves.
 *
 * Mark: every manifest of a repository (or, if asked, every one that tags, indexes and subjects lead to) keeps its
 * config, layers and listed manifests; blobs that are linked but unused stay until their grace is over. Sweep: links,
 * then content. Each deletion is alone in the gate of the catalog, and what anybody asked for since the marking
 * began is left for the next time.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import type { Digest } from "../oci/index.ts";
import { isDigest } from "../oci/index.ts";
import type { Catalog } from "./catalog.ts";
import { type ManifestReferences, parseReferences } from "./manifest-references.ts";
import type { UploadSessions } from "./upload-sessions.ts";

/** How to collect garbage. */
export interface GarbageOptions {
  /** Blobs younger than this stay though nothing needs them: their manifest may be on its way. Default 1 hour. */
  readonly graceMs?: number | undefined;
  /** Whether manifests go, too, that no tag, index or living subject leads to. Default false. */
  readonly untagged?: boolean | undefined;
  /** Whether to count only. Default false. */
  readonly dryRun?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What was collected, or would have been. */
export interface GarbageReport {
  readonly repositories: number;
  /** Manifests deleted because nothing leads to them. */
  readonly manifestsDeleted: number;
  /** Blobs that a repository no longer holds. */
  readonly linksDeleted: number;
  /** Blobs and manifests whose bytes were deleted, and how many bytes those were. */
  readonly contentDeleted: number;
  readonly bytesDeleted: number;
  /** Blobs and manifests whose bytes remain. */
  readonly contentKept: number;
  readonly uploadsDeleted: number;
}

interface Collection {
  readonly catalog: Catalog;
  /** What is younger stays. */
  readonly limitMs: number;
  readonly watched: ReadonlySet<Digest>;
  readonly untagged: boolean;
  readonly dryRun: boolean;
  readonly report: { -readonly [K in keyof GarbageReport]: number };
}

interface KnownManifest {
  readonly digest: Digest;
  readonly changedMs: number;
  /** Undefined where the bytes are missing or damaged. */
  readonly references: ManifestReferences | undefined;
}

const DEFAULT_GRACE_MS = 60 * 60 * 1000;

/** Collects garbage once. Not to be run twice at a time. */
export async function collectGarbage(
  {
    catalog,
    uploads,
    clock,
  }: { readonly catalog: Catalog; readonly uploads: UploadSessions; readonly clock: Clock },
  options: GarbageOptions = {},
): Promise<GarbageReport> {
  const { graceMs = DEFAULT_GRACE_MS, untagged = false, dryRun = false, signal } = options;
  const report = emptyReport();
  const watched = catalog.watch();
  try {
    // Writes that began before the watch are over after this, so the marking sees them.
    await catalog.exclusive(() => Promise.resolve());
    const limitMs = clock.wallMs() - graceMs;
    const collection = { catalog, limitMs, watched, untagged, dryRun, report };
    if (!dryRun) report.uploadsDeleted = await uploads.sweep();
    const live = new Set<Digest>();
    for (const repository of await catalog.listRepositories()) {
      signal?.throwIfAborted();
      report.repositories += 1;
      for (const digest of await collectRepository(collection, repository)) live.add(digest);
    }
    await sweepContent(collection, live, signal);
    return report;
  } finally {
    catalog.stopWatching();
  }
}

/** Sweeps one repository and returns the content that it still needs. */
async function collectRepository(collection: Collection, repository: string): Promise<ReadonlySet<Digest>> {
  const all = await readManifests(collection, repository);
  const kept = collection.untagged ? await sweepManifests(collection, repository, all) : all;
  const live = new Set<Digest>();
  for (const { digest, references } of kept) {
    live.add(digest);
    for (const one of [...(references?.blobs ?? []), ...(references?.manifests ?? [])]) live.add(one);
  }
  return await sweepLinks(collection, repository, live);
}

async function readManifests({ catalog }: Collection, repository: string): Promise<readonly KnownManifest[]> {
  const manifests: KnownManifest[] = [];
  for (const { name, changedMs } of await catalog.storage.listRecords({ repository, kind: "manifests" })) {
    if (!isDigest(name)) continue;
    manifests.push({ digest: name, changedMs, references: await readReferences(catalog, repository, name) });
  }
  return manifests;
}

async function readReferences(
  catalog: Catalog,
  repository: string,
  digest: Digest,
): Promise<ManifestReferences | undefined> {
  const manifest = await catalog.readManifest(repository, digest);
  try {
    return manifest === undefined ? undefined : parseReferences(manifest.bytes);
  } catch {
    // Damaged on the disk. It keeps its place; what it needed cannot be known.
    return undefined;
  }
}

async function sweepManifests(
  collection: Collection,
  repository: string,
  all: readonly KnownManifest[],
): Promise<readonly KnownManifest[]> {
  const { catalog, limitMs, watched, dryRun, report } = collection;
  const reachable = await reachableManifests(catalog, repository, all);
  const kept: KnownManifest[] = [];
  for (const manifest of all) {
    const { digest, changedMs } = manifest;
    if (reachable.has(digest) || changedMs > limitMs) {
      kept.push(manifest);
      continue;
    }
    const deleted = await catalog.exclusive(async () => {
      if (watched.has(digest)) return false;
      return dryRun || (await catalog.dropManifest(repository, digest));
    });
    if (deleted) report.manifestsDeleted += 1;
    else kept.push(manifest);
  }
  return kept;
}

/** What tags lead to: through indexes down, and from subjects to their referrers. */
async function reachableManifests(
  catalog: Catalog,
  repository: string,
  all: readonly KnownManifest[],
): Promise<ReadonlySet<Digest>> {
  const byDigest = new Map(all.map((manifest) => [manifest.digest, manifest] as const));
  const bySubject = Map.groupBy(all, ({ references }) => references?.subject);
  const reachable = new Set<Digest>();
  const queue: (Digest | undefined)[] = [];
  for (const tag of (await catalog.listTags(repository)) ?? [])
    queue.push(await catalog.resolve(repository, tag));
  while (queue.length > 0) {
    const digest = queue.pop();
    if (digest === undefined || reachable.has(digest)) continue;
    reachable.add(digest);
    queue.push(...(byDigest.get(digest)?.references?.manifests ?? []));
    for (const referrer of bySubject.get(digest) ?? []) queue.push(referrer.digest);
  }
  return reachable;
}

/** Removes links that nothing needs; returns what the repository still holds. */
async function sweepLinks(
  { catalog, limitMs, watched, dryRun, report }: Collection,
  repository: string,
  live: Set<Digest>,
): Promise<ReadonlySet<Digest>> {
  for (const { name, changedMs } of await catalog.storage.listRecords({ repository, kind: "blobs" })) {
    if (!isDigest(name) || live.has(name)) continue;
    const deleted =
      changedMs <= limitMs &&
      (await catalog.exclusive(async () => {
        if (watched.has(name)) return false;
        return dryRun || (await catalog.unlinkBlob(repository, name));
      }));
    if (deleted) report.linksDeleted += 1;
    else live.add(name);
  }
  return live;
}

async function sweepContent(
  { catalog, limitMs, watched, dryRun, report }: Collection,
  live: ReadonlySet<Digest>,
  signal: AbortSignal | undefined,
): Promise<void> {
  for await (const { digest, size, changedMs } of catalog.storage.listContent()) {
    signal?.throwIfAborted();
    const deleted =
      !live.has(digest) &&
      changedMs <= limitMs &&
      (await catalog.exclusive(async () => {
        if (watched.has(digest)) return false;
        if (!dryRun) await catalog.storage.deleteContent(digest);
        return true;
      }));
    report.contentDeleted += deleted ? 1 : 0;
    report.bytesDeleted += deleted ? size : 0;
    report.contentKept += deleted ? 0 : 1;
  }
}

function emptyReport(): Collection["report"] {
  return {
    repositories: 0,
    manifestsDeleted: 0,
    linksDeleted: 0,
    contentDeleted: 0,
    bytesDeleted: 0,
    contentKept: 0,
    uploadsDeleted: 0,
  };
}
