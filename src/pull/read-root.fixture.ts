/**
 * For tests: what lies in a directory, told by Python rather than by the code under test.
 *
 * @module
 */
import { execFileSync } from "node:child_process";

/** A file as Python's `os` sees it. */
export interface FoundFile {
  readonly type: "dir" | "reg" | "symlink" | "char" | "block" | "fifo";
  /** Octal, as Python writes it: `0o755`. */
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds since 1970, decimal. */
  readonly mtimeNs: string;
  readonly inode: number;
  readonly size?: number;
  readonly sha256?: string;
  readonly target?: string;
  readonly dev?: readonly [number, number];
  /** Base64 by name; empty ones are left out. */
  readonly xattrs?: Readonly<Record<string, string>>;
}

const PROGRAM = `
import base64, hashlib, json, os, stat, sys
top = sys.argv[1]
def describe(path):
    s = os.lstat(path)
    kinds = [(stat.S_ISDIR, "dir"), (stat.S_ISREG, "reg"), (stat.S_ISLNK, "symlink"), (stat.S_ISCHR, "char"),
             (stat.S_ISBLK, "block"), (stat.S_ISFIFO, "fifo")]
    kind = next(name for test, name in kinds if test(s.st_mode))
    d = dict(type=kind, mode=oct(stat.S_IMODE(s.st_mode)), uid=s.st_uid, gid=s.st_gid, mtimeNs=str(s.st_mtime_ns),
             inode=s.st_ino)
    if kind == "reg":
        d["size"] = s.st_size
        d["sha256"] = hashlib.sha256(open(path, "rb").read()).hexdigest()
    if kind == "symlink": d["target"] = os.readlink(path)
    if kind in ("char", "block"): d["dev"] = [os.major(s.st_rdev), os.minor(s.st_rdev)]
    x = {n: base64.b64encode(os.getxattr(path, n, follow_symlinks=False)).decode()
         for n in os.listxattr(path, follow_symlinks=False)}
    if x: d["xattrs"] = x
    return d
found = {"": describe(top)}
for at, dirs, files in os.walk(top):
    for name in dirs + files:
        path = os.path.join(at, name)
        found[os.path.relpath(path, top)] = describe(path)
json.dump(found, sys.stdout)
`;

/** Whether Python can be asked. */
export function hasPython(): boolean {
  try {
    execFileSync("python3", ["-c", ""], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Everything below a directory by relative path; `""` is the directory itself. */
export function readRoot(directory: string): Record<string, FoundFile> {
  const output = execFileSync("python3", ["-c", PROGRAM, directory], { maxBuffer: 64 << 20 });
  return JSON.parse(output.toString("utf8")) as Record<string, FoundFile>;
}
