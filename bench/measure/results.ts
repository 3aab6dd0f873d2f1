/**
 * Results as a table for people, JSON for programs, and a picture.
 *
 * @module
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { join } from "node:path";
import type { Standing } from "./compare.ts";

/** One comparison: what was measured, and how everybody did. */
export interface Comparison {
  readonly title: string;
  readonly standings: readonly Standing[];
  /** What follows from them. */
  readonly notes?: readonly string[];
}

/** A comparison as aligned columns. */
export function formatComparison({ title, standings, notes = [] }: Comparison): string {
  const rows = [
    ["", "median s", "min - max", "x first", "cpu s", "peak MiB", ""],
    ...standings.map((standing) => [
      standing.name,
      secondsText(standing.wallSeconds),
      standing.wallRange.map(secondsText).join(" - "),
      secondsText(standing.ratio),
      secondsText(standing.cpuSeconds),
      (standing.peakBytes / 2 ** 20).toFixed(0),
      [
        ...Object.entries(standing.facts).map(([key, value]) => `${key} ${value}`),
        ...(standing.failures.length === 0 ? [] : [`${standing.failures.length} FAILED`]),
      ].join(", "),
    ]),
  ];
  const widths = rows[0]?.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0))) ?? [];
  const lines = rows.map((row) =>
    row
      .map((cell, at) =>
        at === 0 || at === 6 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0),
      )
      .join("  ")
      .trimEnd(),
  );
  return `${title}\n${[...lines, ...notes].map((line) => `  ${line}`).join("\n")}\n`;
}

/** Three digits for what is short. */
function secondsText(value: number): string {
  return Number.isFinite(value) ? value.toFixed(value < 1 ? 3 : 2) : "-";
}

/** Writes `NAME.json` and `NAME.svg` into the directory. */
export function writeResults(directory: string, name: string, comparisons: readonly Comparison[]): void {
  mkdirSync(directory, { recursive: true });
  const machine = { cpus: cpus().length, model: cpus()[0]?.model, kernel: release(), node: process.version };
  writeFileSync(
    join(directory, `${name}.json`),
    `${JSON.stringify({ machine, comparisons }, undefined, 2)}\n`,
  );
  writeFileSync(join(directory, `${name}.svg`), plotOf(comparisons));
}

const ROW = 22;
const LABEL = 260;
const BARS = 420;

function plotOf(comparisons: readonly Comparison[]): string {
  let y = 10;
  const parts: string[] = [];
  for (const { title, standings } of comparisons) {
    const shown = standings.filter(({ runs }) => runs > 0);
    const longest = Math.max(...shown.map(({ wallSeconds }) => wallSeconds));
    parts.push(`<text x="10" y="${(y += ROW)}" font-weight="bold">${escapeXml(title)}</text>`);
    for (const { name, wallSeconds } of shown) {
      y += ROW;
      const width = Math.max(1, (wallSeconds / longest) * BARS);
      const colour = name.startsWith("esgz") ? "#2563eb" : "#94a3b8";
      parts.push(`<text x="10" y="${y}">${escapeXml(name)}</text>`);
      parts.push(
        `<rect x="${LABEL}" y="${y - 13}" width="${width.toFixed(1)}" height="16" fill="${colour}"/>`,
      );
      parts.push(`<text x="${LABEL + width + 6}" y="${y}">${secondsText(wallSeconds)} s</text>`);
    }
    y += ROW / 2;
  }
  const size = `width="${LABEL + BARS + 90}" height="${y + 20}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="13">\n${parts.join("\n")}\n</svg>\n`;
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
