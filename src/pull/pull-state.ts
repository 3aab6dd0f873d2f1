/**
 * The state of an unfinished pull, kept inside the directory that it fills.
 *
 * ```text
 * DIR/.esgz-pull/owner                 the process that pulls
 * DIR/.esgz-pull/image.json            whose content this is, and since which start of the machine
 * DIR/.esgz-pull/layers/3/0/1536       staged file of layer 3, by its place in the tar
 * DIR/.esgz-pull/layers/3.entries      the entries of layer 3: it is complete and was verified
 * ```
 *
 * @module
 */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import type { LayerTree } from "../image/index.ts";
import type { Digest } from "../oci/index.ts";
import { releaseOwnership, takeOwnership } from "./pull-owner.ts";
import type { StagePlace } from "./stage-layer.ts";
import { isStageRecord, readStageRecord } from "./stage-record.ts";

/** The name of the state directory, at the top of the root. */
export const STATE_NAME = ".esgz-pull";

const IMAGE_FILE = "image.json";
const OWNER_FILE = "owner";
const VERSION = 1;

/** A directory that belongs to one pull until it is done, or given back for another to go on with. */
export class PullState implements Disposable {
  /** The directory that is filled; absolute. */
  readonly directory: string;
  /** Whether an earlier pull of the same image began here. */
  readonly resumed: boolean;
  readonly #sameBoot: boolean;

  private constructor(
    directory: string,
    { resumed, sameBoot }: { readonly resumed: boolean; readonly sameBoot: boolean },
  ) {
    this.directory = directory;
    this.resumed = resumed;
    this.#sameBoot = sameBoot;
  }

  /**
   * Takes a directory that is empty or left by an interrupted pull of the same image.
   *
   * @throws {EsgzError} `ALREADY_EXISTS` if it holds anything else, or another process pulls into it; `IO_FAILED`
   */
  static claim(directory: string, manifestDigest: Digest): PullState {
    const absolute = resolve(directory);
    try {
      const found = readdirSync(absolute);
      if (found.length === 0) return PullState.#begin(absolute, manifestDigest);
      const marker = readMarker(absolute);
      if (marker === undefined && isBarelyBegun(absolute, found)) {
        return PullState.#begin(absolute, manifestDigest);
      }
      if (marker?.image === manifestDigest) {
        takeState(absolute);
        ensureDirectory(join(absolute, STATE_NAME, "layers"));
        return new PullState(absolute, { resumed: true, sameBoot: marker.boot === bootId() });
      }
      const what = marker === undefined ? "other files" : `an unfinished pull of ${marker.image}`;
      throw new EsgzError(
        "ALREADY_EXISTS",
        `Cannot pull into directory "${directory}": expected it to be empty, got ${what}`,
      );
    } catch (error) {
      if (error instanceof EsgzError) throw error;
      throw new EsgzError("IO_FAILED", `Cannot pull into directory "${directory}": ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  static #begin(directory: string, manifestDigest: Digest): PullState {
    // Also takes off a setgid bit, which would give new files another group.
    chmodSync(directory, 0o700);
    const state = join(directory, STATE_NAME);
    mkdirSync(state, { recursive: true, mode: 0o700 });
    takeState(directory);
    for (const name of readdirSync(state)) {
      if (name !== OWNER_FILE) rmSync(join(state, name), { recursive: true, force: true });
    }
    mkdirSync(join(state, "layers"), { mode: 0o700 });
    const marker = { version: VERSION, image: manifestDigest, boot: bootId() };
    writeFileSync(join(state, "image.tmp"), JSON.stringify(marker), { flag: "wx" });
    renameSync(join(state, "image.tmp"), join(state, IMAGE_FILE));
    return new PullState(directory, { resumed: false, sameBoot: true });
  }

  /** A place to stage a layer in: what an earlier pull left there is gone. */
  openStage(layer: number): StagePlace {
    const directory = this.stagePath(layer);
    const record = `${this.#recordPath(layer)}.tmp`;
    for (const path of [directory, record]) rmSync(path, { recursive: true, force: true });
    mkdirSync(directory, 0o700);
    return { directory, record };
  }

  /** Where a layer is staged. */
  stagePath(layer: number): string {
    return join(this.directory, STATE_NAME, "layers", String(layer));
  }

  /** Remembers that a layer is staged completely and verified. */
  commitStage(layer: number): void {
    renameSync(`${this.#recordPath(layer)}.tmp`, this.#recordPath(layer));
  }

  /**
   * Whether an earlier pull staged a layer completely, and it can be relied on. After a restart of the machine it cannot:
   * what was not flushed may be missing.
   */
  isStaged(layer: number): boolean {
    if (!this.resumed || !this.#sameBoot) return false;
    const record = this.#recordPath(layer);
    const isOurs =
      isDirectory(this.stagePath(layer)) && lstatSync(record, { throwIfNoEntry: false })?.isFile();
    return isOurs === true && isStageRecord(record);
  }

  /** The entries of a layer that is staged, read as they are iterated. */
  stagedTree(layer: number): LayerTree {
    const record = this.#recordPath(layer);
    return { entries: { [Symbol.iterator]: () => readStageRecord(record) } };
  }

  /** Lets another pull have the directory. Idempotent. */
  [Symbol.dispose](): void {
    releaseOwnership(join(this.directory, STATE_NAME, OWNER_FILE));
  }

  #recordPath(layer: number): string {
    return `${this.stagePath(layer)}.entries`;
  }

  /** Removes the state: the pull is done. The marker goes last, so that an interrupted removal can be repeated. */
  remove(): void {
    const state = join(this.directory, STATE_NAME);
    for (const name of readdirSync(state)) {
      if (name !== IMAGE_FILE && name !== OWNER_FILE)
        rmSync(join(state, name), { recursive: true, force: true });
    }
    rmSync(state, { recursive: true, force: true });
  }
}

function takeState(directory: string): void {
  const pid = takeOwnership(join(directory, STATE_NAME, OWNER_FILE));
  if (pid === undefined) return;
  const text = `Cannot pull into directory "${directory}": expected nobody else to, got process ${pid} that does`;
  throw new EsgzError("ALREADY_EXISTS", text, { details: { pid } });
}

/** Undefined if there is no marker, or not one in a real directory of ours. */
function readMarker(directory: string): { readonly image: string; readonly boot: string } | undefined {
  const state = join(directory, STATE_NAME);
  if (!isDirectory(state)) return undefined;
  const path = join(state, IMAGE_FILE);
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() !== true) return undefined;
  try {
    const marker: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof marker !== "object" || marker === null) return undefined;
    const { version, image, boot } = marker as Record<string, unknown>;
    if (version !== VERSION || typeof image !== "string") return undefined;
    return { image, boot: typeof boot === "string" ? boot : "" };
  } catch (error) {
    if (systemCodeOf(error) !== undefined) throw error;
    return undefined;
  }
}

/** Whether a pull was interrupted before it could say whose content it would write: there is none then. */
function isBarelyBegun(directory: string, found: readonly string[]): boolean {
  const state = join(directory, STATE_NAME);
  if (found.some((name) => name !== STATE_NAME) || !isDirectory(state)) return false;
  return !readdirSync(state).includes(IMAGE_FILE);
}

/** What is no real directory is replaced by one: nothing is written through links. */
function ensureDirectory(path: string): void {
  if (isDirectory(path)) return;
  rmSync(path, { force: true });
  mkdirSync(path, 0o700);
}

function isDirectory(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Names the time since the machine was started; empty where the system has no such name. */
function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  } catch {
    return "";
  }
}
