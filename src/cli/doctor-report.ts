/**
 * What this machine has of what esgz can use. Every line is found out, none assumed.
 *
 * @module
 */
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { delimiter, join } from "node:path";

/** One fact about the machine. */
export interface Finding {
  readonly name: string;
  /** `yes`: usable; `no`: not there; `limited`: there, with a restriction that `detail` names; `off`: not there, nor needed. */
  readonly state: "yes" | "no" | "limited" | "off";
  readonly detail: string;
}

/** What the report looks at. */
export interface DoctorOptions {
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** The name of the libdeflate library if it loads, else the reason why not. */
  readonly libdeflate: { readonly usable: boolean; readonly detail: string };
  readonly isRoot: boolean;
  readonly nodeVersion: string;
}

const RUNTIMES = ["runc", "crun", "containerd", "podman", "buildkitd", "fusermount3", "unshare"] as const;

/** Looks at the machine. */
export function examineMachine(options: DoctorOptions): readonly Finding[] {
  return [
    nodeFinding(options.nodeVersion),
    { name: "kernel", state: "yes", detail: release() },
    {
      name: "libdeflate",
      state: options.libdeflate.usable ? "yes" : "no",
      detail: options.libdeflate.usable
        ? options.libdeflate.detail
        : `${options.libdeflate.detail}; zlib is used, at about half the speed (Debian: apt install libdeflate0)`,
    },
    rootFinding(options.isRoot),
    fuseFinding(),
    filesystemFinding("erofs", "mounts of whole images at kernel speed"),
    filesystemFinding("overlay", "writable layers over an image"),
    loopFinding(),
    ...RUNTIMES.map((name) => commandFinding(name, options.variables["PATH"] ?? "")),
  ];
}

function nodeFinding(version: string): Finding {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const recent = major > 22 || (major === 22 && minor >= 19);
  return {
    name: "node",
    state: recent ? "yes" : "no",
    detail: recent ? version : `${version}; 22.19 or later is needed`,
  };
}

function rootFinding(isRoot: boolean): Finding {
  return isRoot
    ? { name: "root", state: "yes", detail: "owners, devices and all extended attributes can be restored" }
    : {
        name: "root",
        state: "no",
        detail: "pull to rootfs: leaves out owners, devices and trusted attributes",
      };
}

function fuseFinding(): Finding {
  const device = "/dev/fuse";
  if (!existsSync(device))
    return { name: "fuse", state: "no", detail: `${device} is missing (modprobe fuse)` };
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
    return { name: "fuse", state: "yes", detail: device };
  } catch {
    return { name: "fuse", state: "limited", detail: `${device} is there, but this user may not open it` };
  }
}

function filesystemFinding(name: string, use: string): Finding {
  const known = readOr("/proc/filesystems", "")
    .split("\n")
    .some((line) => line.trim().split(/\s+/).at(-1) === name);
  if (known) return { name, state: "yes", detail: use };
  const module = existsSync(join("/lib/modules", release(), "kernel", "fs", name, `${name}.ko`));
  return module
    ? { name, state: "limited", detail: `the module is there, not loaded (modprobe ${name})` }
    : { name, state: "no", detail: `the kernel does not offer it: no ${use}` };
}

function loopFinding(): Finding {
  return existsSync("/dev/loop-control")
    ? { name: "loop devices", state: "yes", detail: "/dev/loop-control" }
    : { name: "loop devices", state: "no", detail: "/dev/loop-control is missing" };
}

function commandFinding(name: string, path: string): Finding {
  for (const directory of [...path.split(delimiter), "/usr/sbin", "/sbin"]) {
    const candidate = join(directory, name);
    if (directory !== "" && isExecutable(candidate)) return { name, state: "yes", detail: candidate };
  }
  return { name, state: "no", detail: "not on the path" };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function readOr(path: string, fallback: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return fallback;
  }
}
