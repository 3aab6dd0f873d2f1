/**
 * What is mounted in a container.
 *
 * @module
 */
import { isMapped, type IdMapping } from "./id-mapping.ts";
import type { OciMount } from "./oci-spec.ts";
import { mountFromVolume, type Volume } from "./volume.ts";

/** A file of the machine that a container sees instead of its own. */
export interface ReplacedFile {
  /** An absolute path of the machine. */
  readonly source: string;
  /** An absolute path in the container. */
  readonly target: string;
}

/** What depends on the container. */
export interface MountChoice {
  readonly rootless: IdMapping | undefined;
  /** Whether the container has a cgroup of its own to show. */
  readonly cgroups: boolean;
  readonly files: readonly ReplacedFile[];
  readonly volumes: readonly Volume[];
}

/** The group that terminals belong to, by convention of all distributions. */
const TTY_GROUP = 5;

/**
 * All mounts of a container, parents before children: the kernel's filesystems, replaced files, volumes. A volume takes the
 * place of whatever else would be mounted there.
 */
export function containerMounts(choice: MountChoice): OciMount[] {
  const volumes = choice.volumes.map(mountFromVolume);
  const taken = new Set(volumes.map(({ destination }) => destination));
  const files = choice.files.map(({ source, target }) => ({
    destination: target,
    type: "bind",
    source,
    options: ["bind", "rw", "rprivate"],
  }));
  const own = [...kernelMounts(choice), ...files].filter(({ destination }) => !taken.has(destination));
  const depth = ({ destination }: OciMount): number => destination.split("/").length;
  // Sorting is stable: of equal depth, what was named first is mounted first.
  return [...own, ...volumes].toSorted((a, b) => depth(a) - depth(b));
}

function kernelMounts({ rootless, cgroups }: MountChoice): OciMount[] {
  const sealed = ["nosuid", "noexec", "nodev"];
  const ttyGroup = rootless === undefined || isMapped(rootless.gids, TTY_GROUP) ? [`gid=${TTY_GROUP}`] : [];
  const mounts: OciMount[] = [
    { destination: "/proc", type: "proc", source: "proc", options: sealed },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    rootless === undefined
      ? { destination: "/sys", type: "sysfs", source: "sysfs", options: [...sealed, "ro"] }
      : // The kernel lets only the owner of the network mount it anew.
        { destination: "/sys", type: "bind", source: "/sys", options: ["rbind", ...sealed, "ro"] },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", ...ttyGroup],
    },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: sealed },
    {
      destination: "/dev/shm",
      type: "tmpfs",
      source: "shm",
      options: [...sealed, "mode=1777", "size=65536k"],
    },
  ];
  if (!cgroups) return mounts;
  const options = [...sealed, "relatime", "ro"];
  return [...mounts, { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options }];
}
