/**
 * What a shell of the machine does inside the namespaces of a container, before the container's program takes its place.
 *
 * Everything here is text: nothing is run. The script's own words go to the file `words` as long as it prepares.
 *
 * @module
 */
import { DEFAULT_CAPABILITIES, MASKED_PATHS, READONLY_PATHS } from "./default-isolation.ts";
import { quoteCommand, quoteWord } from "./shell-text.ts";

/** Directories over one another, by names relative to the container's directory. */
export interface OverlayNames {
  /** The topmost first. */
  readonly lower: readonly string[];
  readonly upper: string;
  readonly work: string;
  /** Marks are `user.overlay.*`, as a user namespace needs them. */
  readonly userXattrs: boolean;
}

/** A bind of a script that stands in for a runtime. */
export interface ScriptBind {
  readonly source: string;
  /** In the root, absolute and without symlinks. */
  readonly target: string;
  /** What to make if the target is missing; undefined if it is there. */
  readonly missing: "dir" | "file" | undefined;
  readonly readonly: boolean;
}

/** What a script that stands in for a runtime prepares. */
export interface IsolationPlan {
  readonly rootless: boolean;
  readonly hostname: string;
  readonly network: "host" | "none";
  readonly readonly: boolean;
  /** Where the kernel's filesystems go: absolute and without symlinks. */
  readonly places: { readonly proc: string; readonly dev: string; readonly sys: string };
  readonly binds: readonly ScriptBind[];
  /** In the root, absolute and without symlinks; made if it is missing. */
  readonly workdir: string;
}

/** Mounts an overlay at `rootfs`, then runs a command. */
export function overlayScript(
  overlay: OverlayNames,
  { directory, command }: { readonly directory: string; readonly command: readonly string[] },
): string {
  return joinLines([
    ...beginWords(directory),
    mountOverlayLine(overlay),
    "cd /",
    ...endWords(),
    `exec ${quoteCommand(command)}`,
  ]);
}

/** Prepares a root as a runtime would, as far as a shell can, and runs a command with the root's directory as its own. */
export function isolationScript(
  plan: IsolationPlan,
  options: {
    readonly directory: string;
    readonly root: OverlayNames | { readonly path: string };
    readonly command: readonly string[];
  },
): string {
  const { directory, root, command } = options;
  return joinLines([
    ...beginWords(directory),
    ...FUNCTIONS,
    // The machine's /proc is still seen here: the first number is the one that the machine knows this process by.
    "read -r pid rest < /proc/self/stat",
    "lower" in root ? mountOverlayLine(root) : `mount --rbind ${quoteWord(root.path)} rootfs`,
    "cd rootfs",
    ...kernelLines(plan),
    ...plan.binds.flatMap(bindLines),
    `mkdir -p .${quoteWord(plan.workdir)}`,
    ...(plan.readonly ? ["seal ."] : []),
    ...hostLines(plan),
    // What the root is mounted over cannot be reached from inside: there is no way out of it but this mount.
    "mount -n --move . /",
    "ulimit -Sn 1024 || :",
    `echo "$pid" > ${quoteWord(`${directory}/pid.new`)}`,
    `mv ${quoteCommand([`${directory}/pid.new`, `${directory}/pid`])}`,
    ...endWords(),
    `exec ${quoteCommand(command)}`,
  ]);
}

/** The words before a command that make it an ordinary user of a root, with no more capabilities than containers have. */
export function privilegeWords(
  setpriv: string,
  user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] },
  { setgroups }: { readonly setgroups: boolean },
): string[] {
  // Without a cgroup for devices, nodes are not safe to make.
  const names = DEFAULT_CAPABILITIES.filter((name) => name !== "CAP_MKNOD");
  const bounding = ["-all", ...names.map((name) => `+${name.slice("CAP_".length).toLowerCase()}`)].join(",");
  const groups =
    user.additionalGids.length > 0 ? `--groups=${user.additionalGids.join(",")}` : "--clear-groups";
  // Who is not root changes into the root directory with this one, which nobody can make more of.
  const unprivileged = ["--inh-caps=-all,+sys_chroot", "--ambient-caps=-all,+sys_chroot", "--no-new-privs"];
  return [
    setpriv,
    ...(setgroups ? [groups] : ["--keep-groups"]),
    `--regid=${user.gid}`,
    `--reuid=${user.uid}`,
    ...(user.uid === 0 ? ["--inh-caps=-all"] : unprivileged),
    `--bounding-set=${bounding}`,
  ];
}

const FUNCTIONS: readonly string[] = [
  // The flags of a mount that comes from outside of a user namespace may not be taken away.
  'seal() { mount -o remount,bind,ro "$1" || mount -o remount,bind,ro,nosuid,nodev "$1" || mount -o remount,bind,ro,nosuid,nodev,noexec "$1"; }',
  'seal_if_there() { [ ! -e "$1" ] || { mount --rbind "$1" "$1" && seal "$1"; } || :; }',
  'hide() { if [ -d "$1" ]; then mount -t tmpfs -o ro,size=0 tmpfs "$1"; elif [ -e "$1" ]; then mount --bind /dev/null "$1"; fi; }',
];

function beginWords(directory: string): string[] {
  return [`cd ${quoteWord(directory)}`, "exec 4>&2 2> words"];
}

function endWords(): string[] {
  return ["exec 2>&4 4>&-"];
}

function mountOverlayLine({ lower, upper, work, userXattrs }: OverlayNames): string {
  const options = [`lowerdir=${lower.join(":")}`, `upperdir=${upper}`, `workdir=${work}`];
  if (userXattrs) options.push("userxattr");
  return `mount -t overlay -o ${quoteWord(options.join(","))} overlay rootfs`;
}

function kernelLines({ places, rootless }: IsolationPlan): string[] {
  const [proc, dev, sys] = [places.proc, places.dev, places.sys].map((path) => `.${quoteWord(path)}`);
  return [
    `mkdir -p ${proc} ${dev} ${sys}`,
    `mount -t tmpfs -o nosuid,mode=755,size=65536k tmpfs ${dev}`,
    `mkdir ${dev}/pts ${dev}/shm ${dev}/mqueue`,
    `for name in null zero full random urandom tty; do : > ${dev}/$name; mount --bind /dev/$name ${dev}/$name; done`,
    `mount -t devpts -o nosuid,noexec,newinstance,ptmxmode=0666,mode=0620 devpts ${dev}/pts`,
    `mount -t tmpfs -o nosuid,nodev,noexec,mode=1777,size=65536k shm ${dev}/shm`,
    `mount -t mqueue -o nosuid,nodev,noexec mqueue ${dev}/mqueue || :`,
    `ln -s pts/ptmx ${dev}/ptmx`,
    `ln -s /proc/self/fd ${dev}/fd`,
    `ln -s fd/0 ${dev}/stdin; ln -s fd/1 ${dev}/stdout; ln -s fd/2 ${dev}/stderr`,
    // In a user namespace what is mounted below /sys cannot be left out.
    `mount ${rootless ? "--rbind" : "--bind"} /sys ${sys}`,
    `seal ${sys}`,
    `mount -t proc -o nosuid,nodev,noexec proc ${proc}`,
    ...maskLines(places),
  ];
}

function maskLines({ proc, sys }: IsolationPlan["places"]): string[] {
  const placeOf = (path: string): string =>
    quoteWord(
      path.startsWith("/proc/")
        ? `.${proc}${path.slice("/proc".length)}`
        : `.${sys}${path.slice("/sys".length)}`,
    );
  return [
    `for path in ${MASKED_PATHS.map(placeOf).join(" ")}; do hide "$path" || :; done`,
    `for path in ${READONLY_PATHS.map(placeOf).join(" ")}; do seal_if_there "$path"; done`,
  ];
}

function bindLines({ source, target, missing, readonly }: ScriptBind): string[] {
  const place = `.${quoteWord(target)}`;
  const parent = `.${quoteWord(target.slice(0, target.lastIndexOf("/")))}`;
  return [
    ...(missing === "dir" ? [`mkdir -p ${place}`] : []),
    ...(missing === "file" ? [`mkdir -p ${parent}/`, `: > ${place}`] : []),
    `mount --rbind ${quoteWord(source)} ${place}`,
    ...(readonly ? [`seal ${place}`] : []),
  ];
}

function hostLines({ hostname, network }: IsolationPlan): string[] {
  const name = quoteWord(hostname);
  return [
    `hostname ${name} || echo ${name} > /proc/sys/kernel/hostname || :`,
    ...(network === "none" ? ["ip link set lo up || :"] : []),
  ];
}

function joinLines(lines: readonly string[]): string {
  return ["set -eu", ...lines, ""].join("\n");
}
