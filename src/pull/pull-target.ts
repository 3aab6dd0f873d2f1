/**
 * Where a pull puts an image.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { formatImageName, type ImageName, parseImageName } from "../image/index.ts";

/** A pull's target: a directory tree, or an image on a local medium. */
export type PullTarget =
  | { readonly kind: "rootfs"; readonly directory: string }
  | Extract<ImageName, { readonly kind: "oci" | "docker-archive" }>;

/**
 * Parses `rootfs:DIR`, `oci:DIR[:TAG]` or `docker-archive:FILE[:REF]`.
 *
 * @throws {EsgzError} `USAGE_INVALID`; `REFERENCE_INVALID`
 */
export function parsePullTarget(text: string): PullTarget {
  if (text.startsWith("rootfs:") && text.length > "rootfs:".length) {
    return { kind: "rootfs", directory: text.slice("rootfs:".length) };
  }
  if (text.startsWith("oci:") || text.startsWith("docker-archive:")) {
    const name = parseImageName(text);
    if (name.kind === "oci" || name.kind === "docker-archive") return name;
  }
  throw new EsgzError(
    "USAGE_INVALID",
    `Cannot parse pull target "${text}": expected rootfs:DIR, oci:DIR[:TAG] or docker-archive:FILE[:REF]`,
  );
}

/** The text of a target; {@linkcode parsePullTarget} reads it back. */
export function formatPullTarget(target: PullTarget): string {
  return target.kind === "rootfs" ? `rootfs:${target.directory}` : formatImageName(target);
}
