export type { Omission, OmissionKind } from "./omissions.ts";
export { DEFAULT_TUNING, pullImage, type PullOptions } from "./pull-image.ts";
export type {
  LayerNotice,
  LayerProgress,
  PullBytes,
  PulledLayer,
  PullEvent,
  PullReport,
  PullSeconds,
} from "./pull-report.ts";
export type { PullTuning } from "./pull-session.ts";
export { formatPullTarget, parsePullTarget, type PullTarget } from "./pull-target.ts";
