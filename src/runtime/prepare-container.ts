/**
 * Everything that has to be known and written before a container starts.
 *
 * @module
 */
import { readFile, realpath, stat } from "node:fs/promises";
import { EsgzError, messageOf } from "../errors/index.ts";
import type { ContainerDirectory } from "./container-directory.ts";
import { writeContainerFiles } from "./container-files.ts";
import type { ReplacedFile } from "./container-mounts.ts";
import { containerUser, createRuntimeSpec, mappedUser } from "./create-runtime-spec.ts";
import type { FoundRuntimes } from "./find-runtimes.ts";
import { OWN_MOUNTS, runtimeWords, type LaunchPlan } from "./launch-words.ts";
import type { OciRlimit, OciSpec } from "./oci-spec.ts";
import type { UserFiles } from "./resolve-user.ts";
import { findInRoot, readInRoot, type RootView } from "./root-view.ts";
import type { ContainerRootfs, RunContainerOptions, RuntimeKind } from "./run-options.ts";
import { startError } from "./runtime-error.ts";
import { overlayScript, type OverlayNames } from "./setup-script.ts";
import { prepareStandIn } from "./stand-in.ts";
import { findNamespaceIds, type NamespaceIds } from "./user-namespace.ts";

/** A container whose files are written. */
export interface PreparedContainer {
  readonly plan: LaunchPlan;
  /** Undefined where programs stand in for one. */
  readonly runtime: Runtime | undefined;
  /** The user namespace; undefined for root. */
  readonly ids: NamespaceIds | undefined;
  readonly found: FoundRuntimes;
}

/** A runtime that is there. */
export interface Runtime {
  readonly kind: "runc" | "crun";
  readonly program: string;
}

const USER_FILE_LIMIT = 4 << 20;
/** As systemd has it: programs that walk over all descriptors do not take forever. */
const OPEN_FILES = { soft: 1024, hard: 524_288 } as const;

/**
 * Looks at the root and the machine, and writes what the container is started from.
 *
 * @throws {EsgzError} `RUNTIME_FAILED` for an unknown user; `NOT_SUPPORTED`, `USAGE_INVALID`, `FILE_NOT_FOUND`, `IO_FAILED`.
 */
export async function prepareContainer(
  options: RunContainerOptions,
  { found, directory }: { readonly found: FoundRuntimes; readonly directory: ContainerDirectory },
): Promise<PreparedContainer> {
  const { network, volumes = [], onNote = () => undefined } = options;
  const runtime = chooseRuntime(found, options.runtime);
  const ids = await findNamespaceIds(options.host, found);
  const view = { directories: await resolveRootfs(options) };
  const users = await readUsers(view);
  noteLostIds(options, { ids, users, onNote });
  await checkVolumes(options);
  const root = await nameRoot(options.rootfs, { directory, view, rootless: ids !== undefined });
  const hostname = options.hostname ?? directory.id;
  const files = await writeContainerFiles(directory, { root: view, network, hostname });
  const spec = await specOf(options, { directory, root, users, files, ids });
  const parts = { directory, found, spec, root, ids };
  const plan =
    runtime === undefined
      ? await prepareStandIn({ ...parts, view, files, volumes, network, onNote })
      : await prepareRuntime(runtime, parts);
  return { plan, runtime, ids, found };
}

function chooseRuntime(found: FoundRuntimes, wanted: RuntimeKind | undefined): Runtime | undefined {
  if (wanted === "none") return undefined;
  const kinds = wanted === undefined ? (["runc", "crun"] as const) : [wanted];
  for (const kind of kinds) {
    const program = found[kind];
    if (program !== undefined) return { kind, program };
  }
  if (wanted === undefined) return undefined;
  throw new EsgzError(
    "NOT_SUPPORTED",
    `Cannot start container: expected ${wanted} in PATH, got no such program`,
  );
}

/** The directories of the root without symlinks of the machine in their own names, the topmost first. */
async function resolveRootfs({ rootfs }: RunContainerOptions): Promise<string[]> {
  const paths = rootfs.kind === "directory" ? [rootfs.path] : [rootfs.upper, ...[rootfs.lower].flat()];
  try {
    return await Promise.all(paths.map((path) => realpath(path)));
  } catch (cause) {
    const text = `Cannot start container in "${paths.join(":")}": ${messageOf(cause)}`;
    throw new EsgzError("FILE_NOT_FOUND", text, { cause });
  }
}

async function readUsers(view: RootView): Promise<UserFiles> {
  return { passwd: await readUserFile(view, "/etc/passwd"), group: await readUserFile(view, "/etc/group") };
}

async function readUserFile(view: RootView, path: string): Promise<string> {
  const { stats } = (await findInRoot(view, path)) ?? {};
  // Runtimes open it themselves, and would wait for the other end of a pipe for ever.
  if (stats?.isFIFO() === true || stats?.isCharacterDevice() === true || stats?.isBlockDevice() === true)
    throw startError(`${path} of the image is no file`);
  return await readInRoot(view, path, { limitBytes: USER_FILE_LIMIT });
}

function noteLostIds(
  options: RunContainerOptions,
  { ids, users, onNote }: { ids: NamespaceIds | undefined; users: UserFiles; onNote: (text: string) => void },
): void {
  if (ids?.kind === "single") {
    onNote("the machine lends no ids (newuidmap, /etc/subuid): files of other owners show as nobody's");
  }
  const wanted = containerUser(options, users);
  if (mappedUser(wanted, ids?.mapping).uid !== wanted.uid) {
    onNote(`the user namespace has no user ${wanted.uid}: the container runs as its root instead`);
  }
}

async function checkVolumes({ volumes = [] }: RunContainerOptions): Promise<void> {
  for (const { source, target } of volumes) {
    try {
      await stat(source);
    } catch (cause) {
      const text = `Cannot mount volume "${source}:${target}": ${messageOf(cause)}`;
      throw new EsgzError("FILE_NOT_FOUND", text, { cause });
    }
  }
}

/** The root as scripts name it. */
async function nameRoot(
  rootfs: ContainerRootfs,
  options: { readonly directory: ContainerDirectory; readonly view: RootView; readonly rootless: boolean },
): Promise<OverlayNames | { readonly path: string }> {
  const { directory, view, rootless } = options;
  const [top = "/", ...rest] = view.directories;
  if (rootfs.kind === "directory") return { path: top };
  const lower: string[] = [];
  for (const [index, path] of rest.entries()) lower.push(await directory.link(`lower${index}`, path));
  return {
    lower,
    upper: await directory.link("upper", top),
    work: await directory.link("work", await realpath(rootfs.work)),
    userXattrs: rootless,
  };
}

async function specOf(
  options: RunContainerOptions,
  parts: {
    readonly directory: ContainerDirectory;
    readonly root: OverlayNames | { readonly path: string };
    readonly users: UserFiles;
    readonly files: readonly ReplacedFile[];
    readonly ids: NamespaceIds | undefined;
  },
): Promise<OciSpec> {
  const { directory, root, users, files, ids } = parts;
  const spec = createRuntimeSpec({
    ...options,
    ...users,
    id: directory.id,
    rootfs: "lower" in root ? directory.rootfs : root.path,
    rootless: ids?.mapping,
    files,
    rlimits: await readRlimits(),
  });
  if (ids?.setgroups !== false) return spec;
  const { uid, gid } = spec.process.user;
  return { ...spec, process: { ...spec.process, user: { uid, gid } } };
}

/** Limits as usual, within those of this process. */
async function readRlimits(): Promise<OciRlimit[]> {
  const text = await readFile("/proc/self/limits", "utf8").catch(() => "");
  const own = /^Max open files\s+\S+\s+(\d+)/m.exec(text)?.[1];
  const hard = Math.min(OPEN_FILES.hard, own === undefined ? OPEN_FILES.hard : Number(own));
  return [{ type: "RLIMIT_NOFILE", soft: Math.min(OPEN_FILES.soft, hard), hard }];
}

async function prepareRuntime(
  runtime: Runtime,
  parts: {
    readonly directory: ContainerDirectory;
    readonly found: FoundRuntimes;
    readonly spec: OciSpec;
    readonly root: OverlayNames | { readonly path: string };
    readonly ids: NamespaceIds | undefined;
  },
): Promise<LaunchPlan> {
  const { directory, found, spec, root, ids } = parts;
  await directory.write("config.json", JSON.stringify(spec));
  const command = runtimeWords(runtime, { directory, rootless: ids !== undefined });
  const userNamespace = ids !== undefined && ids.kind !== "current";
  if (!("lower" in root)) return { command, namespaces: userNamespace ? OWN_MOUNTS : [], userNamespace };
  await directory.write("start.sh", overlayScript(root, { directory: directory.path, command }));
  return { command: [found.sh ?? "sh", directory.script], namespaces: OWN_MOUNTS, userNamespace };
}
