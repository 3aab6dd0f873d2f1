/**
 * The commands that a container begins with.
 *
 * @module
 */
import type { ContainerDirectory } from "./container-directory.ts";

/** What a container's first command is made of. */
export interface LaunchPlan {
  /** What runs at last. */
  readonly command: readonly string[];
  /** Namespaces to be in, by the long options of `unshare(1)`; none if empty. */
  readonly namespaces: readonly string[];
  /** Whether a user namespace comes before, which waits until it has its ids. */
  readonly userNamespace: boolean;
  /** Whether the command itself becomes the container's first process, and nobody else notes its number. */
  readonly direct?: boolean;
}

/**
 * Runs in a new user namespace, whose ids somebody outside writes: it says so on descriptor 3 and waits there for an answer.
 * The next program is root, and has all capabilities of the namespace.
 */
const AWAIT_IDS = 'echo ready >&3 && read -r answer <&3 && exec 3>&- && exec "$@"';

/** The words of a plan. */
export function launchWords(
  { command, namespaces, userNamespace }: LaunchPlan,
  programs: { readonly unshare: string; readonly sh: string },
): readonly string[] {
  const { unshare, sh } = programs;
  const spaced = namespaces.length === 0 ? command : [unshare, ...namespaces, "--", ...command];
  return userNamespace ? [unshare, "--user", "--", sh, "-c", AWAIT_IDS, "sh", ...spaced] : spaced;
}

/** A mount namespace whose mounts nobody outside sees, and that lets go of what is unmounted outside. */
export const OWN_MOUNTS: readonly string[] = ["--mount", "--propagation", "slave"];

/** The command that runs a bundle in the foreground. */
export function runtimeWords(
  runtime: { readonly kind: "runc" | "crun"; readonly program: string },
  { directory, rootless }: { readonly directory: ContainerDirectory; readonly rootless: boolean },
): string[] {
  // Rootless, crun asks for a cgroup of systemd's where runc goes without.
  const manager = runtime.kind === "crun" && rootless ? ["--cgroup-manager=disabled"] : [];
  const files = ["--bundle", directory.path, "--pid-file", directory.pid];
  // What crun finds before a colon is for it a kind of log, not part of a path; runc knows only paths.
  const file = runtime.kind === "crun" ? `file:${directory.log}` : directory.log;
  const log = ["--log", file, "--log-format", "json"];
  return [runtime.program, "--root", directory.state, ...log, ...manager, "run", ...files, directory.id];
}
