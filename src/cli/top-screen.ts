/**
 * What `esgz top` shows.
 *
 * @module
 */
import type { MountStatus } from "../daemon/index.ts";
import { formatBytes, formatDuration, formatPercent, formatTable, printable } from "./format.ts";

/** One look at the mounts. */
export interface TopSample {
  readonly atMs: number;
  readonly mounts: readonly MountStatus[];
}

const HEAD = ["MOUNT", "IMAGE", "VIEW", "HERE", "SIZE", "", "FETCHED", "RATE", "READS", "HITS", "WAITING"];
const RIGHT = [3, 4, 5, 6, 7, 8, 9, 10];
const LISTED_FILES = 8;

/** The mounts as a table with what is waited for below it; rates are since the sample before. */
export function describeTop(sample: TopSample, before?: TopSample): string {
  if (sample.mounts.length === 0) return "nothing is mounted\n";
  const rows = sample.mounts.map((mount) => [
    printable(mount.directory),
    printable(mount.name),
    mount.writable ? `${mount.method}, rw` : mount.method,
    formatBytes(mount.presentBytes),
    formatBytes(mount.totalBytes),
    formatPercent(Math.min(mount.presentBytes, mount.totalBytes), mount.totalBytes),
    formatBytes(mount.fetchedBytes),
    rateOf(mount, sample, before),
    String(mount.reads),
    mount.reads === 0 ? "-" : formatPercent(mount.hits, mount.reads),
    String(mount.waiting.length),
  ]);
  return `${formatTable([HEAD, ...rows], RIGHT)}${sample.mounts.map(waitingLines).join("")}`;
}

function rateOf(mount: MountStatus, sample: TopSample, before: TopSample | undefined): string {
  const earlier = before?.mounts.find(({ id }) => id === mount.id);
  if (before === undefined || earlier === undefined || sample.atMs <= before.atMs) return "-";
  const bytes = Math.max(0, mount.fetchedBytes - earlier.fetchedBytes);
  return `${formatBytes((bytes / (sample.atMs - before.atMs)) * 1000)}/s`;
}

function waitingLines({ directory, waiting }: MountStatus): string {
  if (waiting.length === 0) return "";
  const longest = waiting.toSorted((a, b) => b.forMs - a.forMs);
  const files = longest
    .slice(0, LISTED_FILES)
    .map(({ path, forMs }) => `  ${formatDuration(forMs).padStart(7)}  ${printable(path)}\n`);
  const unlisted = waiting.length - files.length;
  const more = unlisted > 0 ? `           and ${unlisted} more\n` : "";
  return `\nwaited for in ${printable(directory)}:\n${files.join("")}${more}`;
}
