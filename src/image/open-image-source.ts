/**
 * From an image name to the medium behind it.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { RegistryClient } from "../registry/index.ts";
import { DirectoryDestination } from "./directory-destination.ts";
import { DirectorySource } from "./directory-source.ts";
import { DockerArchiveDestination } from "./docker-archive-destination.ts";
import { DockerArchiveSource } from "./docker-archive-source.ts";
import type { ImageDestination } from "./image-destination.ts";
import { type ImageName, parseImageName } from "./image-name.ts";
import type { ImageSource } from "./image-source.ts";
import { OciLayoutDestination } from "./oci-layout-destination.ts";
import { OciLayoutSource } from "./oci-layout-source.ts";
import { RegistryDestination } from "./registry-destination.ts";
import { RegistrySource } from "./registry-source.ts";

/** What opening an image takes. */
export interface OpenImageOptions {
  /** The client for names of registries; it stays the caller's. Without it such names are refused. */
  readonly registry?: RegistryClient | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens an image for reading. A name on a disk that does not exist fails here or at `fetchRoot`.
 *
 * @throws {EsgzError} `REFERENCE_INVALID`, `IMAGE_NOT_FOUND`, `TAR_INVALID`, `IO_FAILED`
 */
export async function openImageSource(
  name: ImageName | string,
  options: OpenImageOptions,
): Promise<ImageSource> {
  const place = typeof name === "string" ? parseImageName(name) : name;
  switch (place.kind) {
    case "registry": {
      const { reference } = place;
      return new RegistrySource(clientOf(options).repository(reference), { reference });
    }
    case "oci":
      return new OciLayoutSource(place.directory, { tag: place.tag });
    case "docker-archive":
      return await DockerArchiveSource.open(place.file, { choice: place, signal: options.signal });
    case "dir":
      return new DirectorySource(place.directory);
  }
}

/**
 * Opens an image for writing.
 *
 * @throws {EsgzError} `REFERENCE_INVALID`, `ALREADY_EXISTS`, `IO_FAILED`
 */
export async function openImageDestination(
  name: ImageName | string,
  options: OpenImageOptions,
): Promise<ImageDestination> {
  const place = typeof name === "string" ? parseImageName(name) : name;
  switch (place.kind) {
    case "registry": {
      const { reference } = place;
      return new RegistryDestination(clientOf(options).repository(reference), { reference });
    }
    case "oci":
      return await OciLayoutDestination.open(place.directory, { tag: place.tag });
    case "docker-archive":
      if (place.sourceIndex !== undefined) {
        throw new EsgzError(
          "REFERENCE_INVALID",
          `Cannot write docker archive "${place.file}": expected a reference, got a position`,
        );
      }
      return await DockerArchiveDestination.open(place.file, { reference: place.reference });
    case "dir":
      return await DirectoryDestination.open(place.directory);
  }
}

function clientOf(options: OpenImageOptions): RegistryClient {
  if (options.registry !== undefined) return options.registry;
  throw new EsgzError(
    "CONFIGURATION_INVALID",
    "Cannot open image of a registry: expected a registry client, got none",
  );
}
