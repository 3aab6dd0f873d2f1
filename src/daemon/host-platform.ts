/**
 * The platform of this machine, as images name it.
 *
 * @module
 */
import { normalizePlatform, type Platform } from "../oci/index.ts";

/** This machine's platform. Images are for Linux, wherever they are handled. */
export function hostPlatform(): Platform {
  return normalizePlatform({ os: "linux", architecture: process.arch });
}
