/**
 * Mount options as text.
 *
 * @module
 */
import { encodePathText } from "../bytes/index.ts";

/** The longest text of all options that `mount(2)` takes, in bytes; what is longer is cut off silently. */
export const OPTION_TEXT_LIMIT = 4095;

/** The directories of an overlay mount, and whatever else it is told. */
export interface OverlayOptions {
  /** The topmost first. */
  readonly lower: readonly string[];
  readonly upper?: string | undefined;
  readonly work?: string | undefined;
  /** Options by the kernel's names; `true` for those without a value. */
  readonly settings: Readonly<Record<string, string | true>>;
}

/** The bytes that a text takes in a call. */
export function optionSize(text: string): number {
  return encodePathText(text).length;
}

/**
 * A path as the text options of overlayfs take it: backslash, colon and comma each behind a backslash.
 * Source: the kernel, `Documentation/filesystems/overlayfs.rst` and `fs/overlayfs/params.c`.
 */
export function escapeOverlayPath(path: string): string {
  return path.replaceAll(/[\\:,]/g, String.raw`\$&`);
}

/** A path as a single `upperdir` or `workdir` option takes it: there a backslash still hides what follows. */
export function escapeBackslashes(path: string): string {
  return path.replaceAll("\\", String.raw`\\`);
}

/** All options of an overlay mount as one text. */
export function encodeOverlayOptions({ lower, upper, work, settings }: OverlayOptions): string {
  const options = [`lowerdir=${lower.map(escapeOverlayPath).join(":")}`];
  if (upper !== undefined) options.push(`upperdir=${escapeOverlayPath(upper)}`);
  if (work !== undefined) options.push(`workdir=${escapeOverlayPath(work)}`);
  for (const [key, value] of Object.entries(settings)) options.push(value === true ? key : `${key}=${value}`);
  return options.join(",");
}

/** The data devices of an EROFS mount as one text. Nothing can be escaped there: no path may have a comma. */
export function encodeDeviceOptions(devices: readonly string[]): string {
  return devices.map((device) => `device=${device}`).join(",");
}
