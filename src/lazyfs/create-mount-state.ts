/**
 * What is written down before a mount is made.
 *
 * @module
 */
import type { Digest } from "../oci/index.ts";
import type { MountState, ViewMethod } from "./mount-record.ts";
import { planView, type ViewRequest } from "./view-plan.ts";

/** What is known before a mount is made. */
export interface NewMount {
  readonly id: string;
  /** Absolute, without symbolic links. */
  readonly directory: string;
  readonly reference: string;
  readonly manifest: Digest | undefined;
  readonly view: ViewRequest;
  /** The way that is tried first. */
  readonly method: ViewMethod;
  /** Overlays can be mounted; else their parts are returned. */
  readonly mayAssemble: boolean;
  /** The id of the topmost mount that is at the directory now; 0 for none. */
  readonly before: number;
  readonly createdMs: number;
}

/** The state of a mount that is announced, with its plan. */
export function createMountState(mount: NewMount): MountState {
  const { id, directory, reference, manifest, view, method, before, createdMs } = mount;
  const plan = planView(view);
  const { lower = [], upper, work } = plan.overlay ?? {};
  const parts = upper === undefined || work === undefined ? undefined : { lower, upper, work };
  return {
    phase: "making",
    record: {
      id,
      directory,
      reference,
      manifest,
      layers: view.layers.map(({ digest }) => digest),
      method,
      writable: view.writable,
      layered: view.layered,
      upper,
      work,
      createdMs,
      ...(mount.mayAssemble || parts === undefined ? {} : { overlay: parts }),
    },
    plan,
    method,
    before,
    files: [],
  };
}
