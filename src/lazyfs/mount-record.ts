/**
 * What is known about a mounted image or layer, and what the store remembers of it while it stands.
 *
 * @module
 */
import * as v from "valibot";
import { EsgzError } from "../errors/index.ts";
import { isDigest, type Digest } from "../oci/index.ts";

/** How a tree is shown: EROFS that reads files, EROFS that reads loop devices, or FUSE that reads EROFS itself. */
export type ViewMethod = "erofs-file" | "erofs-loop" | "tree";

/** A mount that stands. */
export interface MountRecord {
  readonly id: string;
  /** Absolute, without symbolic links. */
  readonly directory: string;
  /** What was asked for: an image's name. */
  readonly reference: string;
  readonly manifest?: Digest | undefined;
  /** Lowest first. */
  readonly layers: readonly Digest[];
  /** `local`: all was there, neither FUSE nor a server is needed. */
  readonly method: ViewMethod | "local";
  readonly writable: boolean;
  /** An overlay of one mount per layer. */
  readonly layered: boolean;
  /** Where changes go, and the kernel's own directory beside it. */
  readonly upper?: string | undefined;
  readonly work?: string | undefined;
  /** Nothing is mounted at `directory`: these are to be put together inside a user namespace. Lower directories topmost first. */
  readonly overlay?:
    { readonly lower: readonly string[]; readonly upper: string; readonly work: string } | undefined;
  /** Milliseconds since 1970. */
  readonly createdMs: number;
}

/** One EROFS image to be shown at one place. */
export interface TreePlan {
  /** The image. */
  readonly meta: string;
  /** Its digest, where the file is this mount's own: checked before a server takes over. */
  readonly metaDigest?: Digest | undefined;
  /** The layers of its devices, in order. */
  readonly layers: readonly Digest[];
  readonly place: string;
}

/** Directories to be shown over one another. */
export interface OverlayPlan {
  /** Topmost first. */
  readonly lower: readonly string[];
  readonly upper?: string | undefined;
  readonly work?: string | undefined;
  /** What is changed is thrown away in the end: nothing of it is synced. */
  readonly volatile?: boolean | undefined;
  readonly place: string;
}

/** What has to be mounted, in this order: trees, then the overlay over them. */
export interface ViewPlan {
  readonly trees: readonly TreePlan[];
  readonly overlay?: OverlayPlan | undefined;
}

/** What the lease of a mount says. */
export interface MountState {
  /**
   * `making` is written before anything is mounted: what is found then is taken away by the next process. `remaking` is
   * written when a dead mount is to be replaced: the next process tries again.
   */
  readonly phase: "making" | "mounted" | "remaking";
  readonly record: MountRecord;
  readonly plan: ViewPlan;
  /** How its trees are mounted. */
  readonly method: ViewMethod;
  /** The id of the topmost mount that was at `record.directory` before; 0 for none. */
  readonly before: number;
  /** Layers whose virtual files it uses, each as often as it does. */
  readonly files: readonly Digest[];
}

const DigestText = v.custom<Digest>(isDigest, "expected a digest");
const Digests = v.array(DigestText);
const Method = v.picklist(["erofs-file", "erofs-loop", "tree"]);
const OverlaySchema = v.object({
  lower: v.array(v.string()),
  upper: v.optional(v.string()),
  work: v.optional(v.string()),
  volatile: v.optional(v.boolean()),
  place: v.string(),
});
const TreeSchema = v.object({
  meta: v.string(),
  metaDigest: v.optional(DigestText),
  layers: Digests,
  place: v.string(),
});
const RecordSchema = v.object({
  id: v.string(),
  directory: v.string(),
  reference: v.string(),
  manifest: v.optional(DigestText),
  layers: Digests,
  method: v.picklist(["erofs-file", "erofs-loop", "tree", "local"]),
  writable: v.boolean(),
  layered: v.boolean(),
  upper: v.optional(v.string()),
  work: v.optional(v.string()),
  overlay: v.optional(v.object({ lower: v.array(v.string()), upper: v.string(), work: v.string() })),
  createdMs: v.number(),
});
const StateSchema = v.object({
  phase: v.picklist(["making", "mounted", "remaking"]),
  record: RecordSchema,
  plan: v.object({ trees: v.array(TreeSchema), overlay: v.optional(OverlaySchema) }),
  method: Method,
  before: v.number(),
  files: Digests,
});

/** The text of a lease. */
export function encodeMountState(state: MountState): string {
  return JSON.stringify(state);
}

/** The inverse of {@linkcode encodeMountState}. @throws {EsgzError} `STORE_INVALID` */
export function parseMountState(text: string): MountState {
  try {
    return v.parse(StateSchema, JSON.parse(text));
  } catch (cause) {
    const found = "Cannot read mount lease: expected the state of a mount, got another value";
    throw new EsgzError("STORE_INVALID", found, { cause });
  }
}
