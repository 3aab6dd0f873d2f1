/**
 * What whoever asked for a mount is told.
 *
 * @module
 */
import type { MountRecord } from "../lazyfs/index.ts";
import type { MountResult } from "./control-protocol.ts";
import type { ReadyImage } from "./image-work.ts";

/** The answer to a request for a mount. */
export function mountResult(
  record: MountRecord,
  { ready: { image, layers }, seconds }: { readonly ready: ReadyImage; readonly seconds: number },
): MountResult {
  const { id, directory, method } = record;
  return {
    id,
    directory,
    name: image.name,
    manifest: image.manifest,
    method,
    layers,
    config: JSON.parse(new TextDecoder().decode(image.configBytes)) as unknown,
    ...overlayOf(record),
    seconds,
  };
}

function overlayOf({ overlay }: MountRecord): Pick<MountResult, "overlay"> {
  if (overlay === undefined) return {};
  const { lower, upper, work } = overlay;
  return { overlay: { lower: lower.join(":"), upper, work } };
}
