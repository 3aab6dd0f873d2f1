/**
 * The bits by which kernel and server agree on features in INIT (`FUSE_*` of `linux/fuse.h`).
 *
 * Bits from 32 on travel in a second word, which counts only if {@linkcode INIT_FLAGS}.initExt is set too.
 *
 * @module
 */

/** Bit numbers by name. */
export const INIT_FLAGS = {
  asyncRead: 0,
  posixLocks: 1,
  fileOps: 2,
  atomicTruncate: 3,
  exportSupport: 4,
  bigWrites: 5,
  dontMask: 6,
  spliceWrite: 7,
  spliceMove: 8,
  spliceRead: 9,
  flockLocks: 10,
  hasIoctlDir: 11,
  autoInvalidateData: 12,
  doReaddirplus: 13,
  readdirplusAuto: 14,
  asyncDirectIo: 15,
  writebackCache: 16,
  noOpenSupport: 17,
  parallelDirops: 18,
  handleKillpriv: 19,
  posixAcl: 20,
  abortError: 21,
  maxPages: 22,
  cacheSymlinks: 23,
  noOpendirSupport: 24,
  explicitInvalidateData: 25,
  mapAlignment: 26,
  submounts: 27,
  handleKillprivV2: 28,
  setxattrExt: 29,
  initExt: 30,
  initReserved: 31,
  securityContext: 32,
  hasInodeDax: 33,
  createSupplementaryGroup: 34,
  hasExpireOnly: 35,
  directIoAllowMmap: 36,
  passthrough: 37,
  noExportSupport: 38,
  hasResend: 39,
  allowIdmap: 40,
  overIoUring: 41,
  requestTimeout: 42,
} as const;

/** A feature that kernel and server agree on. */
export type InitFlag = keyof typeof INIT_FLAGS;

const NAMES = Object.keys(INIT_FLAGS).filter((name): name is InitFlag => name in INIT_FLAGS);

/** The flags of two words; bits without a name are dropped. */
export function flagsFromWords(low: number, high: number): Set<InitFlag> {
  return new Set(
    NAMES.filter((name) => {
      const bit = INIT_FLAGS[name];
      return ((bit < 32 ? low >>> bit : high >>> (bit - 32)) & 1) === 1;
    }),
  );
}

/** The two words of some flags. */
export function flagsToWords(flags: Iterable<InitFlag>): { readonly low: number; readonly high: number } {
  let [low, high] = [0, 0];
  for (const name of flags) {
    const bit = INIT_FLAGS[name];
    if (bit < 32) low |= 1 << bit;
    else high |= 1 << (bit - 32);
  }
  return { low: low >>> 0, high: high >>> 0 };
}
