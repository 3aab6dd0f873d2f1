/**
 * What has to be mounted to show an image or a layer.
 *
 * @module
 */
import { join } from "node:path";
import type { Digest } from "../oci/index.ts";
import type { OverlayPlan, TreePlan, ViewPlan } from "./mount-record.ts";

/** What is to be shown where. */
export interface ViewRequest {
  /** Where everything of this mount lies that is not the user's: `S/mounts/<id>`. */
  readonly home: string;
  /** Where it is to appear. */
  readonly directory: string;
  /** The layers, lowest first. */
  readonly layers: readonly { readonly digest: Digest; readonly meta: string }[];
  /** The image of all layers; absent for one layer alone. */
  readonly merged?: { readonly meta: string; readonly metaDigest: Digest } | undefined;
  readonly writable: boolean;
  /** What is written need not survive: the kernel does not sync it, and unmounting does not wait for the disk. */
  readonly volatile?: boolean | undefined;
  /** An overlay of one mount per layer. */
  readonly layered: boolean;
}

/** The plan: paths only, nothing is touched. */
export function planView(request: ViewRequest): ViewPlan {
  const { home, directory, writable } = request;
  const changes = writable ? changesIn(home, request) : {};
  if (request.layered) {
    const trees = request.layers.map(({ digest, meta }, index) => ({
      meta,
      layers: [digest],
      place: join(home, "layers", String(index)),
    }));
    const lower = trees.map(({ place }) => place).reverse();
    // Overlayfs wants two directories, or one and an upper one.
    if (!writable && lower.length < 2) lower.push(join(home, "empty"));
    return { trees, overlay: { lower, ...changes, place: directory } };
  }
  if (!writable) return { trees: [treeOf(request, directory)] };
  const tree = treeOf(request, join(home, "lower"));
  return { trees: [tree], overlay: { lower: [tree.place], ...changes, place: directory } };
}

function changesIn(
  home: string,
  { volatile }: ViewRequest,
): Pick<OverlayPlan, "upper" | "work" | "volatile"> {
  const places = { upper: join(home, "upper"), work: join(home, "work") };
  return volatile === true ? { ...places, volatile } : places;
}

/** The directories of a plan that have to be made, inside `home`. */
export function directoriesOf(plan: ViewPlan, home: string): string[] {
  const { overlay } = plan;
  const all = [
    ...plan.trees.map(({ place }) => place),
    ...(overlay === undefined ? [] : [...overlay.lower, overlay.upper, overlay.work, overlay.place]),
  ];
  return [...new Set(all)].filter((path) => path !== undefined).filter((path) => path.startsWith(`${home}/`));
}

/** The places of a plan, in the order in which they are taken away. */
export function placesOf(plan: ViewPlan): string[] {
  const trees = plan.trees.map(({ place }) => place).reverse();
  return plan.overlay === undefined ? trees : [plan.overlay.place, ...trees];
}

function treeOf({ layers, merged }: ViewRequest, place: string): TreePlan {
  const [only] = layers;
  const image = merged ?? { meta: only?.meta ?? "", metaDigest: undefined };
  return { ...image, layers: layers.map(({ digest }) => digest), place };
}
