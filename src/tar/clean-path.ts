/**
 * Entry names as paths inside an image.
 *
 * @module
 */

/**
 * The path that an entry name means inside its root: no leading, trailing or doubled slash, no `.`, and `..` that never
 * climbs above the root. The root itself is `""`. The same as Go's `path.Clean("/" + name)` without its first slash.
 */
export function cleanPath(name: string): string {
  const path = withoutEnds(name);
  return mayBeUnclean(path) && UNCLEAN.test(path) ? cleanParts(path) : path;
}

const SLASH = 0x2f;
const DOT = 0x2e;
const UNCLEAN = /^\.{0,2}\/|\/\.{0,2}\/|\/\.{0,2}$|^\.{1,2}$/u;

/** Without one "./" or "/" in front and one "/" behind: most names of a layer are clean then. */
function withoutEnds(name: string): string {
  const isRelative = name.charCodeAt(0) === DOT && name.charCodeAt(1) === SLASH;
  const start = isRelative ? 2 : name.charCodeAt(0) === SLASH ? 1 : 0;
  const hasSlash = name.length > start && name.charCodeAt(name.length - 1) === SLASH;
  const end = hasSlash ? name.length - 1 : name.length;
  return start === 0 && end === name.length ? name : name.slice(start, end);
}

/** Whether a closer look is due: a path without these has no part that is empty, `.` or `..`. */
function mayBeUnclean(path: string): boolean {
  if (path === "") return false;
  const first = path.charCodeAt(0);
  const last = path.charCodeAt(path.length - 1);
  return first === DOT || first === SLASH || last === SLASH || path.includes("/.") || path.includes("//");
}

function cleanParts(name: string): string {
  const kept: string[] = [];
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") kept.pop();
    else kept.push(part);
  }
  return kept.join("/");
}
