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

/**
 * Parses `os/architecture[/variant]` or a bare architecture (of Linux).
 *
 * @throws {EsgzError} `USAGE_INVALID`
 */
export function parsePlatform(text: string): Platform {
  const parts = text.split("/");
  if (parts.length > 3 || parts.some((part) => !/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(part))) {
    throw new EsgzError(
      "USAGE_INVALID",
      `Cannot parse platform "${text}": expected os/architecture[/variant]`,
    );
  }
  const [os, architecture, variant] = parts.length === 1 ? ["linux", parts[0]] : parts;
  return normalizePlatform({
    os: os ?? "",
    architecture: architecture ?? "",
    ...(variant === undefined ? {} : { variant }),
  });
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

/** `os/architecture[/variant]`. */
export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant } = normalizePlatform(platform);
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join("/");
}

/** Whether an image for `offered` runs on `wanted`: the same system, and for arm an equal or lower variant. */
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
