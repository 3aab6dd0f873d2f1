/**
 * The answer to a lookup (`struct fuse_entry_out`) and to getattr (`struct fuse_attr_out`).
 *
 *     entry                                  attributes
 *      8  node id                             8  seconds the attributes are valid
 *      8  generation                          4  nanoseconds of it
 *      8  seconds the name is valid           4  padding
 *      8  seconds the attributes are valid   88  attributes
 *      4  nanoseconds of the name's         ---
 *      4  nanoseconds of the attributes'    104
 *     88  attributes
 *    ---
 *    128
 *
 * @module
 */
import { attributesCodec, type Attributes } from "./attributes.ts";
import type { MessageCodec } from "./message-codec.ts";

/** The node id of a mount's root (`FUSE_ROOT_ID`). */
export const ROOT_NODE = 1;

/** A name that was found. */
export interface Entry {
  /** 0 says that there is no such name, and that this may be remembered. */
  readonly node: number;
  /** Needed only where node ids are used again: `node` and `generation` together must not. */
  readonly generation: number;
  /** How long the kernel may keep the name; `Infinity` for ever. */
  readonly entryTimeoutMs: number;
  /** How long the kernel may keep the attributes; `Infinity` for ever. */
  readonly attributesTimeoutMs: number;
  readonly attributes: Attributes;
}

/** Attributes, and how long they may be kept. */
export interface AttributesReply {
  readonly attributesTimeoutMs: number;
  readonly attributes: Attributes;
}

/** `struct fuse_entry_out`. */
export const entryCodec: MessageCodec<Entry> = {
  decode(reader) {
    const [node, generation] = [reader.u64(), reader.u64()];
    const [entrySeconds, attributesSeconds] = [reader.big64(), reader.big64()];
    const [entryNs, attributesNs] = [reader.u32(), reader.u32()];
    return {
      node,
      generation,
      entryTimeoutMs: msFromValid(entrySeconds, entryNs),
      attributesTimeoutMs: msFromValid(attributesSeconds, attributesNs),
      attributes: attributesCodec.decode(reader),
    };
  },
  encode(value, writer) {
    writer.u64(value.node).u64(value.generation);
    writer.u64(secondsOf(value.entryTimeoutMs)).u64(secondsOf(value.attributesTimeoutMs));
    writer.u32(nanosecondsOf(value.entryTimeoutMs)).u32(nanosecondsOf(value.attributesTimeoutMs));
    attributesCodec.encode(value.attributes, writer);
  },
};

/** `struct fuse_attr_out`. */
export const attributesReplyCodec: MessageCodec<AttributesReply> = {
  decode(reader) {
    const seconds = reader.big64();
    const attributesTimeoutMs = msFromValid(seconds, reader.u32());
    reader.skip(4);
    return { attributesTimeoutMs, attributes: attributesCodec.decode(reader) };
  },
  encode(value, writer) {
    writer.u64(secondsOf(value.attributesTimeoutMs)).u32(nanosecondsOf(value.attributesTimeoutMs)).zeros(4);
    attributesCodec.encode(value.attributes, writer);
  },
};

/** Seconds that stand for ever: more than the kernel counts, still a safe integer. */
const FOREVER_SECONDS = Number.MAX_SAFE_INTEGER;

/** Whole seconds of a time in ms. */
export function secondsOf(ms: number): number {
  return ms === Infinity ? FOREVER_SECONDS : Math.floor(ms / 1000);
}

/** The nanoseconds after the whole seconds. */
export function nanosecondsOf(ms: number): number {
  return ms === Infinity ? 0 : Math.round((ms % 1000) * 1e6);
}

/** The inverse of {@linkcode secondsOf} and {@linkcode nanosecondsOf}. */
export function msFromValid(seconds: bigint, nanoseconds: number): number {
  return seconds >= BigInt(FOREVER_SECONDS) ? Infinity : Number(seconds) * 1000 + nanoseconds / 1e6;
}
