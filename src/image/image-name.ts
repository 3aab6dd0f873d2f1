/**
 * Image names as skopeo and podman users write them.
 *
 * | text | medium |
 * | --- | --- |
 * | `REFERENCE`, `docker://REFERENCE` | a registry |
 * | `oci:DIR[:TAG]` | an OCI image layout; DIR ends at the first colon |
 * | `docker-archive:FILE[:REFERENCE]`, `docker-archive:FILE:@INDEX` | a file as `docker save` writes it |
 * | `dir:DIR` | a directory with manifest and blobs side by side |
 *
 * Source: containers-transports(5).
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { formatReference, type ImageReference, parseReference } from "../oci/index.ts";

/** A parsed image name: the medium, and the place on it. */
export type ImageName =
  | { readonly kind: "registry"; readonly reference: ImageReference }
  | { readonly kind: "oci"; readonly directory: string; readonly tag?: string }
  | {
      readonly kind: "docker-archive";
      readonly file: string;
      readonly reference?: ImageReference;
      /** The position of the image in the archive's list, counted from 0. */
      readonly sourceIndex?: number;
    }
  | { readonly kind: "dir"; readonly directory: string };

/** The media that an image can lie on. */
export type ImageMedium = ImageName["kind"];

const REF_NAME = /^[A-Za-z0-9]+(?:(?:[-._:@/+]|--)[A-Za-z0-9]+)*$/;
const OTHER_TRANSPORTS = /^(oci-archive|docker-daemon|containers-storage|ostree|sif|atomic):/;

/**
 * Parses an image name.
 *
 * @throws {EsgzError} `REFERENCE_INVALID`
 */
export function parseImageName(text: string): ImageName {
  if (text.startsWith("oci:")) return parseLayoutName(text);
  if (text.startsWith("docker-archive:")) return parseArchiveName(text);
  if (text.startsWith("dir:")) {
    const directory = text.slice("dir:".length);
    if (directory === "") throw invalid(text, "expected a directory after dir:");
    return { kind: "dir", directory };
  }
  const other = OTHER_TRANSPORTS.exec(text)?.[1];
  if (other !== undefined) {
    throw invalid(text, `expected a registry, oci:, docker-archive: or dir:, got the medium "${other}"`);
  }
  const reference = text.startsWith("docker://") ? text.slice("docker://".length) : text;
  return { kind: "registry", reference: parseReference(reference) };
}

/** The text of an image name; {@linkcode parseImageName} reads it back. */
export function formatImageName(name: ImageName): string {
  switch (name.kind) {
    case "registry":
      return formatReference(name.reference);
    case "oci":
      return `oci:${name.directory}${name.tag === undefined ? "" : `:${name.tag}`}`;
    case "docker-archive": {
      if (name.sourceIndex !== undefined) return `docker-archive:${name.file}:@${name.sourceIndex}`;
      const reference = name.reference === undefined ? "" : `:${formatReference(name.reference)}`;
      return `docker-archive:${name.file}${reference}`;
    }
    case "dir":
      return `dir:${name.directory}`;
  }
}

function parseLayoutName(text: string): ImageName {
  const [directory, tag] = splitAtColon(text.slice("oci:".length));
  if (directory === "") throw invalid(text, "expected a directory after oci:");
  if (tag === undefined) return { kind: "oci", directory };
  if (!REF_NAME.test(tag)) throw invalid(text, `"${tag}" is not a reference name`);
  return { kind: "oci", directory, tag };
}

function parseArchiveName(text: string): ImageName {
  const [file, rest] = splitAtColon(text.slice("docker-archive:".length));
  if (file === "") throw invalid(text, "expected a file after docker-archive:");
  if (rest === undefined) return { kind: "docker-archive", file };
  if (rest.startsWith("@")) {
    if (!/^@\d{1,9}$/.test(rest)) throw invalid(text, `"${rest}" is not @ and a number`);
    return { kind: "docker-archive", file, sourceIndex: Number(rest.slice(1)) };
  }
  const reference = parseReference(rest);
  if (reference.digest !== undefined) throw invalid(text, "expected a tag, got a digest");
  return { kind: "docker-archive", file, reference };
}

function splitAtColon(text: string): [string, string | undefined] {
  const colon = text.indexOf(":");
  return colon < 0 ? [text, undefined] : [text.slice(0, colon), text.slice(colon + 1)];
}

function invalid(text: string, reason: string): EsgzError {
  return new EsgzError("REFERENCE_INVALID", `Cannot parse image name "${text}": ${reason}`);
}
