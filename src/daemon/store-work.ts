/**
 * What requests do with the store: look, forget, tidy up.
 *
 * @module
 */
import { untilAborted } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import { parseImageName } from "../image/index.ts";
import { recordedName } from "../lazyfs/index.ts";
import { type Digest, formatPlatform, type ImageReference, parsePlatform } from "../oci/index.ts";
import type { PruneReport, StoredImage } from "../store/index.ts";
import type { ImageSummary, PruneRequest, PruneSummary, UsageSummary } from "./control-protocol.ts";
import type { ImageWork } from "./image-work.ts";
import { diskBytesBelow, keptBytes, removeKept } from "./kept-changes.ts";
import type { Services } from "./services.ts";

/** Images and room of a store. */
export class StoreWork {
  readonly #services: Services;
  readonly #images: ImageWork;

  constructor(services: Services, images: ImageWork) {
    this.#services = services;
    this.#images = images;
  }

  /** All images, by name. */
  async images(): Promise<readonly ImageSummary[]> {
    const { store } = this.#services;
    const sizes = new Map((await store.usage()).layers.map((layer) => [layer.digest, layer]));
    const mounted = this.#mountedManifests();
    return store.images().map((image) => {
      const layers = [...new Set(image.layers)].map((digest) => sizes.get(digest));
      return {
        name: image.name,
        platform: image.platform,
        manifest: image.manifest,
        layers: image.layers.length,
        presentBytes: layers.reduce(
          (sum, layer) => sum + Math.min(layer?.dataBytes ?? 0, layer?.totalBytes ?? 0),
          0,
        ),
        totalBytes: layers.reduce((sum, layer) => sum + (layer?.totalBytes ?? 0), 0),
        updatedMs: image.updatedMs,
        mounted: mounted.has(image.manifest),
      };
    });
  }

  /** Forgets an image. @throws {EsgzError} `IMAGE_NOT_FOUND` */
  async remove(name: string, options: { readonly platform: string | undefined }): Promise<void> {
    const platform =
      options.platform === undefined ? undefined : formatPlatform(parsePlatform(options.platform));
    const { log } = this.#services;
    if (!(await this.#removeRecord(recordedName(name), platform))) throw unknownImage(name, options.platform);
    log.info({ name, platform }, "forgot an image");
    this.#forgetRegistries();
  }

  /** What the store takes. */
  async usage(): Promise<UsageSummary> {
    const { store, config } = this.#services;
    const { layers, contentBytes } = await store.usage();
    const names = namesByLayer(store.images());
    return {
      root: store.root,
      ...(config.quotaBytes === undefined ? {} : { quotaBytes: config.quotaBytes }),
      layers: layers.map(({ digest, dataBytes, recordBytes, totalBytes, usedMs, pinned }) => ({
        digest,
        diskBytes: dataBytes + recordBytes,
        totalBytes: totalBytes + recordBytes,
        usedMs,
        pinned,
        images: names.get(digest) ?? [],
      })),
      contentBytes,
      writableBytes: await this.#writableBytes(),
    };
  }

  /** Takes away what nothing needs, and what was changed in mounts that are gone; with `all` also the images that nothing mounts. */
  async prune({ all }: PruneRequest, options: { readonly signal: AbortSignal }): Promise<PruneSummary> {
    return await this.#images.alone(async () => {
      const { store, log } = this.#services;
      // Takes no room, and may make some.
      const kept = await removeKept(store.root);
      const images = all === true ? await this.#forgetUnmounted() : [];
      const pruned = await this.#pruneStore(options);
      const { layers } = pruned;
      const bytes = pruned.bytes + kept;
      this.#forgetRegistries();
      log.info({ images: images.length, layers: layers.length, bytes }, "pruned");
      return { images, layers, bytes };
    }, options);
  }

  /** Takes away layers that nothing needs any more, and nothing else. */
  async pruneLayers(options: { readonly signal: AbortSignal }): Promise<void> {
    const { layers, bytes } = await this.#images.alone(async () => await this.#pruneStore(options), options);
    if (layers.length > 0) this.#services.log.info({ layers: layers.length, bytes }, "pruned");
  }

  /** What mounts have let go of is given back first: layers that are open stay. */
  async #pruneStore({ signal }: { readonly signal: AbortSignal }): Promise<PruneReport> {
    const { store, uses } = this.#services;
    await untilAborted(uses.settled(), signal);
    return await store.prune({ keepImages: this.#mountedManifests() });
  }

  /** Also on a disk without room for a note. */
  async #removeRecord(name: string, platform: string | undefined): Promise<boolean> {
    const { store } = this.#services;
    return await store.withRoom(() => Promise.resolve(store.remove(name, { platform })));
  }

  async #forgetUnmounted(): Promise<readonly string[]> {
    const { store } = this.#services;
    const mounted = this.#mountedManifests();
    const unused = store.images().filter(({ manifest }) => !mounted.has(manifest));
    for (const { name, platform } of unused) await this.#removeRecord(name, platform);
    return [...new Set(unused.map(({ name }) => name))];
  }

  #mountedManifests(): ReadonlySet<Digest> {
    return new Set(this.#services.views.mounts().flatMap(({ manifest }) => manifest ?? []));
  }

  #forgetRegistries(): void {
    const { clients, store } = this.#services;
    clients.forgetUnused(store.images().flatMap(({ name }) => referenceIn(name)));
  }

  async #writableBytes(): Promise<number> {
    const uppers = this.#services.views.mounts().flatMap(({ upper }) => (upper === undefined ? [] : [upper]));
    const sizes = await Promise.all(uppers.map(diskBytesBelow));
    return sizes.reduce((sum, size) => sum + size, await keptBytes(this.#services.store.root));
  }
}

function namesByLayer(images: readonly StoredImage[]): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, string[]>();
  for (const { name, layers } of images) {
    for (const digest of new Set(layers)) {
      const known = names.get(digest);
      if (known === undefined) names.set(digest, [name]);
      else if (!known.includes(name)) known.push(name);
    }
  }
  return names;
}

function referenceIn(name: string): readonly ImageReference[] {
  try {
    const parsed = parseImageName(name);
    return parsed.kind === "registry" ? [parsed.reference] : [];
  } catch {
    return [];
  }
}

function unknownImage(name: string, platform: string | undefined): EsgzError {
  const what = platform === undefined ? `"${name}"` : `"${name}" for ${platform}`;
  return new EsgzError("IMAGE_NOT_FOUND", `Cannot remove image ${what}: expected one of the store, got none`);
}
