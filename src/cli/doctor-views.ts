/**
 * Which way this machine shows images, for whom, and whether a daemon does so now.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { promisify } from "node:util";
import type { DaemonInfo } from "../daemon/index.ts";
import { isEsgzError, messageOf } from "../errors/index.ts";
import { shortDigest } from "../oci/index.ts";
import type { Finding } from "./doctor-report.ts";
import type { Environment } from "./environment.ts";
import { formatCount } from "./format.ts";

/** What the ways are called, the best first. */
const VIEWS = [
  ["erofs-file", "EROFS on FUSE", "lookups and warm reads at kernel speed"],
  ["erofs-loop", "EROFS on loop", "lookups and warm reads at kernel speed, through loop devices"],
  ["tree", "tree view", "FUSE answers every lookup"],
] as const;

/** Tries the ways in the directory for temporary files. */
export async function examineViews(environment: Environment): Promise<readonly Finding[]> {
  const { probeViews } = await import("../lazyfs/index.ts");
  const { temporaryDirectory, signal } = environment;
  const { method, methods, reasons, passthrough } = await probeViews(temporaryDirectory, { signal });
  const chosen = VIEWS.find(([way]) => way === method);
  return [
    ...VIEWS.map(([way, name, use]): Finding => {
      const reason = reasons
        .find((text) => text.startsWith(`${way}: `))
        ?.slice(way.length + 2)
        .replace(/^Cannot mount .*?": /, "");
      return methods.includes(way)
        ? { name, state: "yes", detail: use }
        : { name, state: "no", detail: reason ?? "it does not work here" };
    }),
    chosen === undefined
      ? { name: "lazy mounts", state: "no", detail: "none of these ways works" }
      : { name: "lazy mounts", state: method === "tree" ? "limited" : "yes", detail: `by ${chosen[1]}` },
    passthrough
      ? { name: "passthrough", state: "yes", detail: "the kernel can read backing files of FUSE by itself" }
      : {
          name: "passthrough",
          state: "off",
          detail: "not offered; complete layers are mounted without FUSE",
        },
  ];
}

/** What works for a user who is not root. */
export async function examineRootless({ variables, uid }: Environment): Promise<Finding> {
  const name = "rootless";
  try {
    await promisify(execFile)("unshare", ["--user", "--map-root-user", "true"], {
      env: { PATH: variables["PATH"] ?? "/usr/bin:/bin" },
      timeout: 5000,
    });
  } catch (error) {
    const found = messageOf(error).split("\n").slice(1).join(" ").trim() || messageOf(error);
    return { name, state: "no", detail: `user namespaces do not work here: ${found}` };
  }
  if (uid === 0) return { name, state: "yes", detail: "user namespaces work" };
  return lendsIds()
    ? { name, state: "yes", detail: "user namespaces work, with ids of /etc/subuid" }
    : {
        name,
        state: "limited",
        detail: "user namespaces work, with one id: /etc/subuid lends this user none",
      };
}

function lendsIds(): boolean {
  if (!existsSync("/usr/bin/newuidmap")) return false;
  try {
    const { username, uid } = userInfo();
    const lines = readFileSync("/etc/subuid", "utf8").split("\n");
    return lines.some((line) => line.startsWith(`${username}:`) || line.startsWith(`${uid}:`));
  } catch {
    return false;
  }
}

/** Whether a daemon serves the store, and what its snapshotter could not do; none is started. */
export async function examineDaemon({ signal }: Environment, store: string): Promise<readonly Finding[]> {
  const name = "daemon";
  const { connectDaemon } = await import("../daemon/index.ts");
  try {
    await using daemon = await connectDaemon({ store, signal });
    const { version, pid, mounts, snapshots, view } = await daemon.info({ signal });
    const detail = `${version} serves ${store} (pid ${pid}, ${formatCount(mounts, "mount")}, ${view.method})`;
    return [{ name, state: "yes", detail }, ...snapshotFindings(snapshots)];
  } catch (error) {
    if (!isEsgzError(error, "DAEMON_UNAVAILABLE") || error.details["denied"] === true)
      return [{ name, state: "limited", detail: messageOf(error) }];
    return [{ name, state: "off", detail: `none serves ${store}; commands start it when they need it` }];
  }
}

/** Which layers clients had to unpack, and why, the newest last. */
function snapshotFindings(snapshots: DaemonInfo["snapshots"]): readonly Finding[] {
  if (snapshots === undefined) return [];
  const { address, declined } = snapshots;
  const unpacked = declined.map(({ digest, reason, reference }): Finding => {
    const layer = digest === undefined ? "" : ` layer ${shortDigest(digest)}:`;
    return { name: "unpacked", state: "limited", detail: `${reference ?? "an image"}:${layer} ${reason}` };
  });
  return [{ name: "snapshots", state: "yes", detail: `on ${address}` }, ...unpacked];
}
