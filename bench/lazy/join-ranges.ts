/**
 * Requests as few as they could have been.
 *
 * @module
 */
import type { HarborRequestRecord } from "../harbor/index.ts";

const RANGE = /^bytes=(\d+)-(\d+)$/;

/** What was asked for, each byte once: ranges of one address that overlap or touch become one. */
export function joinRanges(requests: readonly HarborRequestRecord[]): HarborRequestRecord[] {
  const joined: HarborRequestRecord[] = [];
  for (const [url, group] of Map.groupBy(requests, (request) => request.url)) {
    const spans = group.map(({ range }) => spanOf(range)).filter((span) => span !== undefined);
    if (spans.length < group.length) joined.push({ url });
    // What is not a plain range, such as a suffix, stands for all; else each span is asked for.
    else for (const [from, to] of union(spans)) joined.push({ url, range: `bytes=${from}-${to}` });
  }
  return joined;
}

type Span = readonly [from: number, to: number];

function spanOf(range: string | undefined): Span | undefined {
  const [, from, to] = RANGE.exec(range ?? "") ?? [];
  return from === undefined || to === undefined ? undefined : [Number(from), Number(to)];
}

function union(spans: readonly Span[]): Span[] {
  const result: Span[] = [];
  for (const [from, to] of spans.toSorted((a, b) => a[0] - b[0])) {
    const last = result.at(-1);
    if (last === undefined || from > last[1] + 1) result.push([from, to]);
    else result[result.length - 1] = [last[0], Math.max(last[1], to)];
  }
  return result;
}
