/**
 * What processes have taken of the memory.
 *
 * @module
 */
import { readFileSync } from "node:fs";

/** Peak resident memory of a process and those below it, in bytes; 0 of one that is gone. */
export function peakOfTree(pid: number): number {
  return sumOfTree(pid, (each) => kilobytesOf(`/proc/${each}/status`, "VmHWM") * 1024);
}

/** Resident memory of a process and those below it, in bytes. */
export function residentOfTree(pid: number): number {
  return sumOfTree(pid, (each) => kilobytesOf(`/proc/${each}/status`, "VmRSS") * 1024);
}

/** The same, where each page counts only in part that other processes have, too. */
export function proportionalOfTree(pid: number): number {
  return sumOfTree(pid, (each) => kilobytesOf(`/proc/${each}/smaps_rollup`, "Pss") * 1024);
}

function sumOfTree(pid: number, measure: (pid: number) => number): number {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").split(" ");
    const below = children.map(Number).filter((child) => child > 0);
    return below.reduce((sum, child) => sum + sumOfTree(child, measure), measure(pid));
  } catch {
    return 0;
  }
}

function kilobytesOf(path: string, name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(readFileSync(path, "latin1"));
  return Number(found?.[1] ?? 0);
}
