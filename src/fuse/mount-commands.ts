/**
 * Mounting by other programs: `mount(8)` for root, `fusermount3(1)` for everybody.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { EsgzError, messageOf } from "../errors/index.ts";
import { fusermountWords, type FuseMountOptions, type MountPlan } from "./mount-options.ts";
import { loadNativeCalls } from "./native-calls.ts";

/** The number of the first descriptor that a child inherits beside its standard ones. */
const INHERITED = 3;
const SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const MESSAGE_LIMIT = 1000;

/**
 * Mounts an open device with `mount -i`.
 *
 * @throws {EsgzError} `MOUNT_FAILED` with what the program said.
 */
export async function mountByCommand(
  target: string,
  options: { readonly fd: number; readonly plan: MountPlan; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const { plan, fd, signal } = options;
  const words = [...plan.words, `fd=${INHERITED}`, ...plan.data].join(",");
  // -i: no helper program, which would open a device of its own.
  const parameters = ["-i", "-t", plan.type, "-o", words, "--", plan.source, target];
  await run("mount", parameters, { inherit: fd, verb: "mount", target, signal });
}

/**
 * Has `fusermount3` open a device and mount it. The descriptor is the caller's.
 *
 * @throws {EsgzError} `MOUNT_FAILED` with what the program said, `NOT_SUPPORTED` without native calls.
 */
export async function mountByFusermount(target: string, options: FuseMountOptions): Promise<number> {
  const calls = loadNativeCalls();
  const pair = calls?.socketPair();
  if (calls === undefined || pair === undefined || typeof pair === "number") {
    throw new EsgzError(
      "NOT_SUPPORTED",
      `Cannot mount FUSE filesystem on "${target}": expected sockets that pass descriptors, got none`,
    );
  }
  const [own, theirs] = pair;
  try {
    const parameters = ["-o", fusermountWords(options).join(","), "--", target];
    const { signal } = options;
    await run("fusermount3", parameters, { inherit: theirs, verb: "mount", target, signal });
    const fd = calls.receiveFd(own);
    if (fd >= 0) return fd;
    throw failure("mount", target, { program: "fusermount3", reason: `no descriptor, errno ${-fd}` });
  } finally {
    closeSync(own);
    closeSync(theirs);
  }
}

/**
 * Unmounts with `umount` or `fusermount3`.
 *
 * @throws {EsgzError} `MOUNT_FAILED` with what the program said.
 */
export async function unmountByCommand(
  target: string,
  options: {
    readonly program: "umount" | "fusermount3";
    readonly lazy?: boolean;
    readonly signal?: AbortSignal;
  },
): Promise<void> {
  const lazy = options.lazy === true;
  const parameters =
    options.program === "umount"
      ? // -c: paths are not looked at, since nobody may be serving them.
        ["-i", "-c", ...(lazy ? ["-l"] : []), "--", target]
      : ["-u", ...(lazy ? ["-z"] : []), "--", target];
  await run(options.program, parameters, { verb: "unmount", target, signal: options.signal });
}

interface RunOptions {
  readonly inherit?: number;
  readonly verb: "mount" | "unmount";
  readonly target: string;
  readonly signal: AbortSignal | undefined;
}

function run(program: string, parameters: readonly string[], options: RunOptions): Promise<void> {
  const { verb, target, signal } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(program, parameters, {
      stdio: ["ignore", "ignore", "pipe", ...(options.inherit === undefined ? [] : [options.inherit])],
      env: { PATH: SEARCH_PATH, LC_ALL: "C", _FUSE_COMMFD: `${INHERITED}` },
      ...(signal === undefined ? {} : { signal }),
    });
    let said = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      if (said.length < MESSAGE_LIMIT) said += text;
    });
    child.on("error", (error) => {
      reject(failure(verb, target, { program, reason: messageOf(error), cause: error }));
    });
    child.on("close", (status) => {
      const reason = said.trim().replaceAll(/\s+/g, " ") || `exit status ${status}`;
      if (status === 0) resolve();
      else reject(failure(verb, target, { program, reason }));
    });
  });
}

function failure(
  verb: string,
  target: string,
  why: { readonly program: string; readonly reason: string; readonly cause?: unknown },
): EsgzError {
  return new EsgzError(
    "MOUNT_FAILED",
    `Cannot ${verb} FUSE filesystem on "${target}": expected ${why.program} to do it, got "${why.reason}"`,
    { details: { method: why.program }, cause: why.cause },
  );
}
