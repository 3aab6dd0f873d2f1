/**
 * Starting a container without a runtime: with `unshare` and a script, or at last with nothing but `chroot`.
 *
 * @module
 */
import { stat } from "node:fs/promises";
import { EsgzError } from "../errors/index.ts";
import type { ContainerDirectory } from "./container-directory.ts";
import type { ReplacedFile } from "./container-mounts.ts";
import type { FoundRuntimes } from "./find-runtimes.ts";
import { OWN_MOUNTS, type LaunchPlan } from "./launch-words.ts";
import type { OciSpec } from "./oci-spec.ts";
import { resolveInRoot, type ResolvedPath, type RootView } from "./root-view.ts";
import { startError } from "./runtime-error.ts";
import { isolationScript, privilegeWords, type OverlayNames, type ScriptBind } from "./setup-script.ts";
import type { NamespaceIds } from "./user-namespace.ts";
import type { Volume } from "./volume.ts";

/** What a stand-in starts. */
export interface StandInOptions {
  readonly directory: ContainerDirectory;
  readonly found: FoundRuntimes;
  readonly spec: OciSpec;
  readonly root: OverlayNames | { readonly path: string };
  readonly view: RootView;
  readonly ids: NamespaceIds | undefined;
  readonly network: "host" | "none";
  readonly files: readonly ReplacedFile[];
  readonly volumes: readonly Volume[];
  readonly onNote: (text: string) => void;
}

/**
 * What the first process of the new pid namespace is started by: a shell, since `unshare --fork` of util-linux 2.38 ends with 1
 * when its child is killed. Signals are for the container, not for it, and it
 * says nothing when the container is killed.
 */
const FIRST_PROCESS = 'trap : INT QUIT TERM HUP; exec 3>&2 2> /dev/null; (exec "$@" 2>&3 3>&-); exit $?';

/**
 * Writes the script of a container and says how it is started.
 *
 * @throws {EsgzError} `NOT_SUPPORTED` if the programs for it are missing; `RUNTIME_FAILED` for paths that cannot be mounted on.
 */
export async function prepareStandIn(options: StandInOptions): Promise<LaunchPlan> {
  const { found, onNote } = options;
  const { unshare, sh, mount, env } = found;
  if (unshare === undefined || sh === undefined || mount === undefined || env === undefined) {
    return prepareChroot(options);
  }
  onNote(
    "without runc or crun: the container has namespaces of its own, but no cgroup, no terminal of its own and no device rules",
  );
  const command = [env, "-i", "--", ...options.spec.process.env, ...enterWords(options, unshare)];
  const script = isolationScript(await planIsolation(options), {
    directory: options.directory.path,
    root: options.root,
    command,
  });
  await options.directory.write("start.sh", script);
  // Until the container is told by its number, it dies with the shell before it.
  const dying = found.setpriv === undefined ? [] : [found.setpriv, "--pdeathsig=KILL", "--"];
  const namespaces = [...OWN_MOUNTS, "--pid", "--uts", "--ipc"];
  return {
    command: [sh, "-c", FIRST_PROCESS, "sh", ...dying, sh, options.directory.script],
    namespaces: options.network === "none" ? [...namespaces, "--net"] : namespaces,
    userNamespace: options.ids !== undefined && options.ids.kind !== "current",
  };
}

function enterWords({ found, spec, ids, onNote }: StandInOptions, unshare: string): string[] {
  const { user, cwd, args } = spec.process;
  const enter = [unshare, "--root=.", `--wd=${cwd}`];
  if (found.setpriv === undefined) {
    onNote("no setpriv: root in the container keeps all capabilities, and users have no further groups");
    return [...enter, `--setgid=${user.gid}`, `--setuid=${user.uid}`, "--", ...args];
  }
  const numbers = { ...user, additionalGids: user.additionalGids ?? [] };
  return [
    ...privilegeWords(found.setpriv, numbers, { setgroups: ids?.setgroups !== false }),
    "--",
    ...enter,
    "--",
    ...args,
  ];
}

async function planIsolation(options: StandInOptions): Promise<Parameters<typeof isolationScript>[0]> {
  const { spec, view, network, ids } = options;
  const pathOf = async (path: string): Promise<string> => (await resolve(view, path)).path;
  return {
    rootless: ids !== undefined,
    hostname: spec.hostname,
    network,
    readonly: spec.root.readonly,
    places: { proc: await pathOf("/proc"), dev: await pathOf("/dev"), sys: await pathOf("/sys") },
    binds: await planBinds(options),
    workdir: await pathOf(spec.process.cwd),
  };
}

async function planBinds({ view, files, volumes }: StandInOptions): Promise<ScriptBind[]> {
  const taken = new Set(volumes.map(({ target }) => target));
  const wanted = [
    ...files.filter(({ target }) => !taken.has(target)).map((file) => ({ ...file, readonly: false })),
    ...volumes.toSorted((a, b) => a.target.split("/").length - b.target.split("/").length),
  ];
  const binds: ScriptBind[] = [];
  for (const { source, target, readonly } of wanted) {
    const { path, found } = await resolve(view, target);
    const kind = (await stat(source)).isDirectory() ? "dir" : "file";
    binds.push({ source, target: path, missing: found === undefined ? kind : undefined, readonly });
  }
  return binds;
}

async function resolve(view: RootView, path: string): Promise<ResolvedPath> {
  const resolved = await resolveInRoot(view, path);
  if (resolved === undefined) throw startError(`too many links at ${path} of the root`);
  return resolved;
}

/** The last resort: nothing is mounted, and nothing but the root directory is the container's own. */
function prepareChroot({ found, spec, root, ids, onNote, volumes }: StandInOptions): LaunchPlan {
  const { chroot, env } = found;
  const { user, cwd, args } = spec.process;
  if (
    chroot === undefined ||
    env === undefined ||
    ids !== undefined ||
    "lower" in root ||
    volumes.length > 0
  ) {
    throw new EsgzError(
      "NOT_SUPPORTED",
      "Cannot start container: expected runc, crun or unshare in PATH, got none",
    );
  }
  onNote(
    "no unshare: the container is only in a root directory of its own, and nothing is mounted in it; this isolates nothing",
  );
  const groups = user.additionalGids ?? [];
  const enter = [chroot, `--userspec=${user.uid}:${user.gid}`, `--groups=${groups.join(",")}`, root.path];
  const inside = cwd === "/" ? args : ["/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", cwd, ...args];
  return {
    command: [env, "-i", "--", ...spec.process.env, ...enter, ...inside],
    namespaces: [],
    userNamespace: false,
    direct: true,
  };
}
