/**
 * Which ways mounts may take on this machine, tried once.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { ViewMethod } from "./mount-record.ts";
import { probeViews, type ViewSupport } from "./probe-views.ts";

/** Remembers what works. */
export class ViewMethods {
  readonly #directory: string;
  #support: Promise<ViewSupport> | undefined;

  /** @param directory an existing one, where ways are tried */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Which ways work. A failure to try is not remembered. @throws {EsgzError} `IO_FAILED` if the directory cannot be written */
  async probe(): Promise<ViewSupport> {
    this.#support ??= probeViews(this.#directory);
    this.#support.catch(() => (this.#support = undefined));
    return await this.#support;
  }

  /** Waits for ways that are being tried: what is mounted for that is gone then. */
  async settle(): Promise<void> {
    await Promise.allSettled([this.#support]);
  }

  /**
   * The ways for a mount to try, the best first: the one that is wanted, whether it works or not, or all that work.
   *
   * @throws {EsgzError} `NOT_SUPPORTED` if none works
   */
  async choose(wanted: ViewMethod | "auto"): Promise<readonly ViewMethod[]> {
    if (wanted !== "auto") return [wanted];
    const { methods, reasons } = await this.probe();
    if (methods.length > 0) return methods;
    // The last way is the one that is easiest to have.
    const reason = reasons.at(-1) ?? "nothing works";
    throw new EsgzError(
      "NOT_SUPPORTED",
      `Cannot mount images on this machine: expected EROFS or FUSE, got neither (${reason})`,
      { details: { reasons: reasons.join("; ") } },
    );
  }
}
