/**
 * What interpreters read before they come to the user's code. Facts of the programs themselves: `strace` shows them.
 *
 * @module
 */

/** Modules that CPython imports at every start, and what its encodings are in. */
const PYTHON_MODULES = [
  "_collections_abc",
  "_sitebuiltins",
  "abc",
  "codecs",
  "genericpath",
  "io",
  "os",
  "posixpath",
  "site",
  "sitecustomize",
  "stat",
];
const PYTHON_ENCODINGS = ["__init__", "aliases", "utf_8"];

const PYTHON = /^(.*)\/bin\/python3\.(\d{1,3})$/;

/** Paths of files that a program is known to read first, in the order of their use; most programs have none. */
export function startFilesOf(program: string): readonly string[] {
  const [, prefix, minor] = PYTHON.exec(program) ?? [];
  if (prefix === undefined || minor === undefined) return [];
  const library = `${prefix}/lib/python3.${minor}`;
  const compiled = (directory: string) => (name: string) =>
    `${directory}/__pycache__/${name}.cpython-3${minor}.pyc`;
  return [
    ...PYTHON_ENCODINGS.map(compiled(`${library}/encodings`)),
    ...PYTHON_MODULES.map(compiled(library)),
    "/etc/localtime",
    "/usr/lib/locale/C.utf8/LC_CTYPE",
  ];
}
