/**
 * Reads a file again and again and compares every byte: `node fuse-reader-process.ts FILE`. Says "round" after each time; ends
 * after the round in which its standard input is closed, with status 0 if all was right.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { bigContent, BIG_SIZE } from "./sample-filesystem.ts";

const [, , path = ""] = process.argv;
const PIECE = 128 * 1024;
let isLast = false;
process.stdin.on("end", () => (isLast = true)).resume();
const buffer = Buffer.alloc(PIECE);
do {
  const fd = openSync(path, "r");
  for (let offset = 0; offset < BIG_SIZE; offset += PIECE) {
    const size = readSync(fd, buffer, 0, PIECE, offset);
    const wanted = bigContent(offset, Math.min(PIECE, BIG_SIZE - offset));
    if (!buffer.subarray(0, size).equals(wanted)) throw new Error(`wrong bytes at ${offset}`);
    await setImmediate();
  }
  closeSync(fd);
  process.stdout.write("round\n");
} while (!isLast);
