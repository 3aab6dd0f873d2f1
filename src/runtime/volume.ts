/**
 * Directories and files of the machine in a container.
 *
 * @module
 */
import { posix } from "node:path";
import { EsgzError } from "../errors/index.ts";
import type { OciMount } from "./oci-spec.ts";

/** A directory or file of the machine that a container sees. */
export interface Volume {
  /** An absolute path of the machine. */
  readonly source: string;
  /** An absolute path in the container. */
  readonly target: string;
  readonly readonly: boolean;
  /** `private`, `rslave`, ...: whether later mounts below it are seen on the other side. */
  readonly propagation: string;
  /** Mounts below the source too. */
  readonly recursive: boolean;
}

const PROPAGATIONS = new Set(["private", "rprivate", "slave", "rslave", "shared", "rshared"]);
/** For SELinux, which esgz does not label for, and for volumes by name, which it does not have. */
const IGNORED = new Set(["z", "Z", "nocopy", "rw", "rbind"]);

/**
 * Parses `HOST:CONTAINER[:OPTION,...]`; options are `ro`, `rw`, `bind`, `rbind`, a propagation, `z` and `Z` (without effect).
 * `HOST` may be relative to `directory`, if it begins with a dot.
 *
 * @throws {EsgzError} `USAGE_INVALID`
 */
export function parseVolume(text: string, { directory }: { readonly directory: string }): Volume {
  const [source = "", target = "", options = "", ...rest] = text.split(":");
  if (rest.length > 0 || source === "" || target === "") throw refused(text, "HOST:CONTAINER[:ro|rw]");
  if (!/^[./]/.test(source)) throw refused(text, "a path of the machine that begins with / or .");
  if (!target.startsWith("/")) throw refused(text, "an absolute path in the container");
  if (posix.normalize(target) === "/") throw refused(text, "a path below the container's root");
  if (text.includes("\0")) throw refused(text, "paths without NUL");
  const words = options.split(",").filter((word) => word !== "");
  const unknown = words.find(
    (word) => word !== "ro" && word !== "bind" && !IGNORED.has(word) && !PROPAGATIONS.has(word),
  );
  if (unknown !== undefined) throw refused(text, "ro, rw, bind, rbind or a propagation", unknown);
  if (words.includes("ro") && words.includes("rw")) throw refused(text, "one of ro and rw");
  return {
    source: posix.resolve(directory, source),
    target: posix.normalize(target).replace(/\/$/, ""),
    readonly: words.includes("ro"),
    propagation: words.find((word) => PROPAGATIONS.has(word)) ?? "rprivate",
    recursive: !words.includes("bind"),
  };
}

/** A volume as a runtime takes it. */
export function mountFromVolume(volume: Volume): OciMount {
  const { source, target, readonly, propagation, recursive } = volume;
  const options = [recursive ? "rbind" : "bind", readonly ? "ro" : "rw", propagation];
  return { destination: target, type: "bind", source, options };
}

function refused(text: string, wanted: string, found?: string): EsgzError {
  const got = found === undefined ? "" : `, got "${found}"`;
  return new EsgzError("USAGE_INVALID", `Cannot mount volume "${text}": expected ${wanted}${got}`);
}
