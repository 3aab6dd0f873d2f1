/**
 * Small damages, as bit rot, broken writers and attackers do them.
 *
 * @module
 */
import type { SeededRandom } from "./seeded-random.ts";

const INTERESTING_BYTES = [0, 1, 0x7f, 0x80, 0xff, 0x20, 0x2f, 0x2e, 0x30, 0x39, 0x2d] as const;

/** A copy of the bytes with one to eight damages. */
export function mutateBytes(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  let mutated: Uint8Array = Uint8Array.from(bytes);
  for (let left = 1 + random.below(8); left > 0; left -= 1) mutated = mutateOnce(mutated, random);
  return mutated;
}

function mutateOnce(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  const at = random.below(bytes.length + 1);
  const length = Math.min(random.below(random.chance(0.9) ? 16 : 600), bytes.length - at);
  switch (random.below(7)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return joined(bytes.subarray(0, at), bytes.subarray(at + length));
    case 2:
      return joined(bytes.subarray(0, at + length), bytes.subarray(at));
    case 3: {
      const from = random.below(bytes.length);
      const inserted = bytes.slice(from, from + length);
      return joined(bytes.subarray(0, at), inserted, bytes.subarray(at));
    }
    case 4:
      return changed(bytes, at, (byte) => byte ^ (1 << random.below(8)));
    case 5:
      return changed(bytes, at, () => random.pick(INTERESTING_BYTES));
    default:
      return changed(bytes, at, () => random.below(256));
  }
}

function changed(bytes: Uint8Array, at: number, change: (byte: number) => number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  if (at < copy.length) copy[at] = change(copy[at] ?? 0);
  return copy;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

const NUMBERS: readonly unknown[] = [0, -1, 1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, 1e300, -(2 ** 62)];
const NAMES: readonly unknown[] = [
  "",
  ".",
  "..",
  "/",
  "a/../../b",
  "\0",
  "\ud800",
  "x".repeat(5000),
  "__proto__",
];
const TEXTS: readonly unknown[] = [
  "sha256:",
  "2023-11-14T22:13:20.5Z",
  "0001-01-01T00:00:00Z",
  "zeros",
  "a/".repeat(1200),
];
const TYPES: readonly unknown[] = ["reg", "dir", "chunk", "hardlink", "symlink", "constructor"];
const STRUCTURES: readonly unknown[] = [true, [], {}, { "user.a": "AA==" }];
const INTERESTING_VALUES: readonly [unknown, ...unknown[]] = [
  null,
  ...NUMBERS,
  ...NAMES,
  ...TEXTS,
  ...TYPES,
  ...STRUCTURES,
];

/** A JSON object, its lists and its fields, changed in a few places. The value is changed in place. */
export function mutateJson(entries: Record<string, unknown>[], random: SeededRandom): void {
  for (let left = 1 + random.below(4); left > 0; left -= 1) {
    const at = random.below(entries.length);
    const entry = entries[at];
    if (entry === undefined) return;
    const other = entries[random.below(entries.length)] ?? entry;
    const fields = Object.keys(random.chance(0.5) ? entry : other);
    const field = fields[random.below(fields.length)] ?? "name";
    switch (random.below(6)) {
      case 0:
        delete entry[field];
        break;
      case 1:
        entry[field] = other[field];
        break;
      case 2:
        entries.splice(at, random.below(3));
        break;
      case 3:
        entries.splice(at, 0, { ...other });
        break;
      case 4:
        if (typeof entry[field] === "number") entry[field] += random.below(5) - 2;
        else entry[field] = other["name"];
        break;
      default:
        entry[field] = random.pick(INTERESTING_VALUES);
    }
  }
}
