/**
 * Descriptors, manifests, indexes and configs: parsed once, at the edge, from bytes.
 *
 * Unknown fields survive: the parsed objects keep them, and what is passed through unchanged is passed as bytes.
 *
 * Source: OCI image specification 1.1, descriptor.md, manifest.md, image-index.md, config.md.
 *
 * @module
 */
import * as v from "valibot";
import { EsgzError, messageOf } from "../errors/index.ts";
import { type Digest, isDigest } from "./digest.ts";
import { isIndexMediaType, isManifestMediaType, MEDIA_TYPES } from "./media-types.ts";

/** The largest manifest, index or config that is read, in bytes: four times what the distribution spec asks for. */
export const MAX_MANIFEST_BYTES: number = 16 << 20;

const Annotations = v.record(v.string(), v.string());
const Size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const DigestText = v.custom<Digest>(isDigest, "expected a digest");

const PlatformSchema = v.looseObject({
  architecture: v.string(),
  os: v.string(),
  "os.version": v.optional(v.string()),
  "os.features": v.optional(v.array(v.string())),
  variant: v.optional(v.string()),
});

const DescriptorSchema = v.looseObject({
  mediaType: v.pipe(v.string(), v.nonEmpty()),
  digest: DigestText,
  size: Size,
  urls: v.optional(v.array(v.string())),
  annotations: v.nullish(Annotations),
  data: v.optional(v.string()),
  artifactType: v.optional(v.string()),
  platform: v.optional(PlatformSchema),
});

const ManifestSchema = v.looseObject({
  schemaVersion: v.literal(2),
  mediaType: v.optional(v.string()),
  artifactType: v.optional(v.string()),
  config: DescriptorSchema,
  layers: v.array(DescriptorSchema),
  subject: v.optional(DescriptorSchema),
  annotations: v.nullish(Annotations),
});

const IndexSchema = v.looseObject({
  schemaVersion: v.literal(2),
  mediaType: v.optional(v.string()),
  artifactType: v.optional(v.string()),
  manifests: v.nullish(v.array(DescriptorSchema)),
  subject: v.optional(DescriptorSchema),
  annotations: v.nullish(Annotations),
});

const ConfigSchema = v.looseObject({
  architecture: v.optional(v.string()),
  os: v.optional(v.string()),
  variant: v.optional(v.string()),
  config: v.nullish(
    v.looseObject({
      User: v.nullish(v.string()),
      Env: v.nullish(v.array(v.string())),
      Entrypoint: v.nullish(v.array(v.string())),
      Cmd: v.nullish(v.array(v.string())),
      WorkingDir: v.nullish(v.string()),
      Labels: v.nullish(v.record(v.string(), v.string())),
      StopSignal: v.nullish(v.string()),
    }),
  ),
  rootfs: v.looseObject({ type: v.literal("layers"), diff_ids: v.nullish(v.array(DigestText)) }),
  history: v.nullish(v.array(v.looseObject({ empty_layer: v.optional(v.boolean()) }))),
});

/** Annotations of a descriptor, manifest or index. */
export type AnnotationMap = Readonly<Record<string, string>>;

/** Where an image runs. */
export interface Platform {
  readonly architecture: string;
  readonly os: string;
  readonly "os.version"?: string | undefined;
  readonly "os.features"?: readonly string[] | undefined;
  readonly variant?: string | undefined;
}

/** A typed pointer to content. Fields that the specification does not name survive at run time. */
export interface Descriptor {
  readonly mediaType: string;
  /** Of the content as it is stored. */
  readonly digest: Digest;
  /** Of the content as it is stored, in bytes. */
  readonly size: number;
  readonly urls?: readonly string[] | undefined;
  readonly annotations?: AnnotationMap | null | undefined;
  /** The content itself, base64, where it is small. */
  readonly data?: string | undefined;
  readonly artifactType?: string | undefined;
  readonly platform?: Platform | undefined;
}

/** An image (or artifact) manifest. */
export interface ImageManifest {
  readonly schemaVersion: 2;
  readonly mediaType?: string | undefined;
  readonly artifactType?: string | undefined;
  readonly config: Descriptor;
  /** Base layer first. */
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor | undefined;
  readonly annotations?: AnnotationMap | null | undefined;
}

/** A manifest or index with the bytes that its digest is of. */
export interface ManifestContent {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
}

/** A list of manifests, usually one per platform. */
export interface ImageIndex {
  readonly schemaVersion: 2;
  readonly mediaType?: string | undefined;
  readonly artifactType?: string | undefined;
  readonly manifests?: readonly Descriptor[] | null | undefined;
  readonly subject?: Descriptor | undefined;
  readonly annotations?: AnnotationMap | null | undefined;
}

/** What a container of an image runs, and how. */
export interface ContainerConfig {
  readonly User?: string | null | undefined;
  readonly Env?: readonly string[] | null | undefined;
  readonly Entrypoint?: readonly string[] | null | undefined;
  readonly Cmd?: readonly string[] | null | undefined;
  readonly WorkingDir?: string | null | undefined;
  readonly Labels?: Readonly<Record<string, string>> | null | undefined;
  readonly StopSignal?: string | null | undefined;
}

/** An image's configuration. */
export interface ImageConfig {
  readonly architecture?: string | undefined;
  readonly os?: string | undefined;
  readonly variant?: string | undefined;
  readonly config?: ContainerConfig | null | undefined;
  readonly rootfs: {
    readonly type: "layers";
    /** Digests of the uncompressed layers, base layer first. */
    readonly diff_ids?: readonly Digest[] | null | undefined;
  };
  readonly history?: readonly { readonly empty_layer?: boolean | undefined }[] | null | undefined;
}

/**
 * Parses a manifest.
 *
 * @throws {EsgzError} `MANIFEST_INVALID`
 */
export function parseManifest(bytes: Uint8Array): ImageManifest {
  return parseWith(ManifestSchema, bytes, "manifest");
}

/**
 * Parses an index or manifest list.
 *
 * @throws {EsgzError} `MANIFEST_INVALID`
 */
export function parseIndex(bytes: Uint8Array): ImageIndex {
  return parseWith(IndexSchema, bytes, "index");
}

/**
 * Parses an image configuration.
 *
 * @throws {EsgzError} `MANIFEST_INVALID`
 */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  return parseWith(ConfigSchema, bytes, "image config");
}

/**
 * Parses a descriptor that is already a JSON value.
 *
 * @throws {EsgzError} `MANIFEST_INVALID`
 */
export function parseDescriptor(value: unknown): Descriptor {
  return validate(DescriptorSchema, value, "descriptor");
}

/**
 * The media type of a manifest or index: what the bytes themselves say, else what the medium said.
 *
 * @throws {EsgzError} `MANIFEST_INVALID` if neither is a manifest or an index, or if they contradict each other in kind
 * (the confusion that lets one blob be read in two ways).
 */
export function manifestMediaTypeOf(bytes: Uint8Array, stated?: string): string {
  const value = parseJson(bytes, "manifest");
  const inside =
    typeof value === "object" && value !== null && "mediaType" in value ? value.mediaType : undefined;
  const shape = shapeOf(value);
  const mediaType = typeof inside === "string" && inside !== "" ? inside : (stated ?? shape);
  const asIndex = isIndexMediaType(mediaType);
  if (!asIndex && !isManifestMediaType(mediaType)) {
    throw new EsgzError(
      "MANIFEST_INVALID",
      `Cannot read manifest: expected an image manifest or index, got "${mediaType}"`,
    );
  }
  if (asIndex !== (shape === MEDIA_TYPES.ociIndex)) {
    throw new EsgzError(
      "MANIFEST_INVALID",
      `Cannot read manifest: its fields contradict its media type "${mediaType}"`,
    );
  }
  return mediaType;
}

/** Whether a layer may only be fetched from where its maker keeps it, and need not be in a registry. */
export function isForeignLayer({ mediaType, urls }: Descriptor): boolean {
  return (
    mediaType.includes(".nondistributable.") || mediaType.includes(".foreign.") || (urls ?? []).length > 0
  );
}

/** Encodes a manifest, index or config as it is stored: two-space JSON, keys in the order of the object. */
export function encodeManifest(value: ImageManifest | ImageIndex | ImageConfig): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value, undefined, 2));
}

function shapeOf(value: unknown): string {
  if (typeof value !== "object" || value === null) {
    throw new EsgzError("MANIFEST_INVALID", "Cannot read manifest: expected a JSON object");
  }
  const index = "manifests" in value;
  if (index && ("layers" in value || "config" in value)) {
    throw new EsgzError(
      "MANIFEST_INVALID",
      "Cannot read manifest: expected either layers or manifests, got both",
    );
  }
  return index ? MEDIA_TYPES.ociIndex : MEDIA_TYPES.ociManifest;
}

function parseWith<T>(schema: v.GenericSchema<unknown, T>, bytes: Uint8Array, what: string): T {
  return validate(schema, parseJson(bytes, what), what);
}

function validate<T>(schema: v.GenericSchema<unknown, T>, value: unknown, what: string): T {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = issue.path?.map((step) => String(step.key)).join(".") ?? "";
  throw new EsgzError(
    "MANIFEST_INVALID",
    `Cannot read ${what}: ${path === "" ? "" : `${path}: `}${issue.message}`,
  );
}

function parseJson(bytes: Uint8Array, what: string): unknown {
  if (bytes.length > MAX_MANIFEST_BYTES) {
    throw new EsgzError(
      "LIMIT_EXCEEDED",
      `Cannot read ${what}: expected at most ${MAX_MANIFEST_BYTES} bytes, got ${bytes.length}`,
    );
  }
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new EsgzError("MANIFEST_INVALID", `Cannot read ${what}: ${messageOf(cause)}`, { cause });
  }
}
