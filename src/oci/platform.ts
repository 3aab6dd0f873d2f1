/**
 * Choosing the image that fits a machine.
 *
 * Source: OCI image specification, image-index.md; the variant rules of containerd's `platforms` package.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { Descriptor, Platform } from "./manifest.ts";

const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: "amd64",
  x86_64: "amd64",
  "x86-64": "amd64",
  aarch64: "arm64",
  ia32: "386",
  i386: "386",
  armhf: "arm",
  ppc64: "ppc64le",
};

/** Those that a platform may be called by alone: other words are more likely a slip. */
const KNOWN_ARCHITECTURES: ReadonlySet<string> = new Set(
  "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x wasm".split(" "),
);

/** `os` or `os(version)`, the version kept as it is. */
const SYSTEM = /^([A-Za-z0-9_][A-Za-z0-9_.-]*)(?:\(([A-Za-z0-9_.-]+)\))?$/;
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
const VERSION = /^[A-Za-z0-9_.-]+$/;

/**
 * Parses `os[(version)]/architecture[/variant]`, whose words may be unknown ones, or the name of a known architecture (of
 * Linux) alone.
 *
 * @throws {EsgzError} `USAGE_INVALID`
 */
export function parsePlatform(text: string): Platform {
  const parts = text.split("/");
  const [first = "", ...rest] = parts.length === 1 ? ["linux", text] : parts;
  const [, os, version] = SYSTEM.exec(first) ?? [];
  const [architecture = "", variant] = rest;
  if (os === undefined || rest.length > 2 || rest.some((part) => !NAME.test(part))) {
    throw notAPlatform(text, "os[(version)]/architecture[/variant]");
  }
  const platform = normalizePlatform({
    os,
    architecture,
    ...(version === undefined ? {} : { "os.version": version }),
    ...(variant === undefined ? {} : { variant }),
  });
  if (parts.length > 1 || KNOWN_ARCHITECTURES.has(platform.architecture)) return platform;
  throw notAPlatform(text, "os/architecture[/variant], or a known architecture alone");
}

function notAPlatform(text: string, expected: string): EsgzError {
  return new EsgzError("USAGE_INVALID", `Cannot parse platform "${text}": expected ${expected}`);
}

/** A platform with the names that images use, and without the variants that mean nothing (arm64/v8, amd64/v1). */
export function normalizePlatform(platform: Platform): Platform {
  const lower = platform.architecture.toLowerCase();
  const architecture = ARCHITECTURES[lower] ?? lower;
  const { variant, ...rest } = { ...platform, os: platform.os.toLowerCase(), architecture };
  const given =
    variant === undefined || variant === "" ? (architecture === "arm" ? "v7" : undefined) : variant;
  const idle = (architecture === "arm64" && given === "v8") || (architecture === "amd64" && given === "v1");
  return given === undefined || idle ? rest : { ...rest, variant: given };
}

/** `os[(version)]/architecture[/variant]`; a version that cannot be parsed again is left out. */
export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant, "os.version": version } = normalizePlatform(platform);
  const system = version === undefined || !VERSION.test(version) ? os : `${os}(${version})`;
  return [system, architecture, ...(variant === undefined ? [] : [variant])].join("/");
}

/**
 * Whether an image for `offered` runs on `wanted`: the same system, of the version that is wanted if one is, and for arm
 * an equal or lower variant.
 */
export function matchesPlatform(wanted: Platform, offered: Platform): boolean {
  return rankOf(normalizePlatform(wanted), normalizePlatform(offered)) >= 0;
}

/**
 * The entry of an index that fits a platform best. Entries without a platform, or with `unknown/unknown`
 * (attestations), are never chosen.
 *
 * @throws {EsgzError} `PLATFORM_NOT_FOUND` with the platforms that there are.
 */
export function selectPlatform(entries: readonly Descriptor[], wanted: Platform): Descriptor {
  let best: Descriptor | undefined;
  let bestRank = -1;
  for (const entry of entries) {
    const rank =
      entry.platform === undefined
        ? -1
        : rankOf(normalizePlatform(wanted), normalizePlatform(entry.platform));
    if (rank > bestRank) [best, bestRank] = [entry, rank];
  }
  if (best !== undefined) return best;
  const offered = entries.flatMap(({ platform }) =>
    platform === undefined ? [] : [formatPlatform(platform)],
  );
  throw new EsgzError(
    "PLATFORM_NOT_FOUND",
    `Cannot find platform "${formatPlatform(wanted)}": expected one of ${offered.join(", ") || "none"}`,
  );
}

/** How well it fits: -1 not at all; higher is better. */
function rankOf(wanted: Platform, offered: Platform): number {
  if (wanted.os !== offered.os || wanted.architecture !== offered.architecture) return -1;
  const version = wanted["os.version"];
  if (version !== undefined && version !== offered["os.version"]) return -1;
  if (wanted.variant === offered.variant) return 100;
  const want = variantNumber(wanted);
  const have = variantNumber(offered);
  return have <= want ? have : -1;
}

function variantNumber({ architecture, variant }: Platform): number {
  const digits = /^v(\d+)$/.exec(variant ?? "")?.[1];
  if (digits !== undefined) return Number(digits);
  return architecture === "arm64" ? 8 : 1;
}
