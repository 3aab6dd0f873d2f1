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
  if (isClean(name)) return name;
  const kept: string[] = [];
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") kept.pop();
    else kept.push(part);
  }
  return kept.join("/");
}

const UNCLEAN = /^\.{0,2}\/|\/\.{0,2}\/|\/\.{0,2}$|^\.{1,2}$/u;

function isClean(name: string): boolean {
  return !UNCLEAN.test(name);
}
