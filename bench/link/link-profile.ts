/**
 * What a link is like: the conditions under which a pull is measured.
 *
 * @module
 */

/** A link between a client and a registry. */
export interface LinkProfile {
  readonly name: string;
  /** Round trip time, in milliseconds. A new connection costs one more, for its handshake. */
  readonly rttMs: number;
  /** Shared by all connections, in bits per second, each direction; undefined = no bound. */
  readonly bitsPerSecond?: number;
  /** Bound of one connection, in bits per second. */
  readonly bitsPerSecondPerConnection?: number;
  /** Every n-th connection is slow, with this bound in bits per second. */
  readonly slow?: { readonly every: number; readonly bitsPerSecond: number };
}

const GIGABIT = 1e9;
const MEGABIT = 1e6;

/** The profiles that the benchmarks know by name. */
export const LINK_PROFILES: readonly LinkProfile[] = [
  { name: "loop", rttMs: 0 },
  { name: "dc", rttMs: 1, bitsPerSecond: 10 * GIGABIT },
  { name: "cloud", rttMs: 20, bitsPerSecond: GIGABIT },
  { name: "capped", rttMs: 20, bitsPerSecond: GIGABIT, bitsPerSecondPerConnection: 300 * MEGABIT },
  { name: "slow-flows", rttMs: 20, bitsPerSecond: GIGABIT, slow: { every: 4, bitsPerSecond: 20 * MEGABIT } },
  { name: "home", rttMs: 20, bitsPerSecond: 24 * MEGABIT },
  { name: "far", rttMs: 220, bitsPerSecond: 200 * MEGABIT },
];

/** A profile by its name; throws a RangeError for an unknown one. */
export function linkProfile(name: string): LinkProfile {
  const profile = LINK_PROFILES.find((candidate) => candidate.name === name);
  if (profile !== undefined) return profile;
  const known = LINK_PROFILES.map((candidate) => candidate.name).join(", ");
  throw new RangeError(`Cannot find link profile "${name}": expected one of ${known}`);
}

/** A profile in words. */
export function describeLink({ rttMs, bitsPerSecond, bitsPerSecondPerConnection }: LinkProfile): string {
  const rate = bitsPerSecond === undefined ? "unlimited bandwidth" : `${bitsPerSecond / MEGABIT} Mb/s`;
  const each =
    bitsPerSecondPerConnection === undefined
      ? ""
      : ` (${bitsPerSecondPerConnection / MEGABIT} Mb/s a connection)`;
  return `${rttMs} ms round trip, ${rate}${each}`;
}
