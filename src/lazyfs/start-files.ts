/**
 * What programs read before they come to the user's code. Facts of the programs themselves: `strace` shows them.
 *
 * @module
 */
import { COMMON_TRIPLETS } from "./multiarch.ts";

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

/** What glibc reads before it converts from or to another character set. */
const CONVERSIONS = [...COMMON_TRIPLETS.map((triplet) => `/usr/lib/${triplet}`), "/usr/lib64"].map(
  (libraries) => `${libraries}/gconv/gconv-modules.cache`,
);

const PYTHON = /^(.*)\/bin\/python3\.(\d{1,3})$/;

/** Where distributions have OpenSSL's configuration: it is read when a program starts that is linked with it. */
const OPENSSL_FILES = ["/usr/lib/ssl/openssl.cnf", "/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf"];
const OPENSSL = /\/libcrypto\.so\.[\d.]+$/;

const NGINX_FILES = [
  "/etc/nginx/nginx.conf",
  "/etc/nginx/mime.types",
  // What the configurations of distributions include.
  "/etc/nginx/modules-enabled/*",
  "/etc/nginx/conf.d/*",
  "/etc/nginx/sites-enabled/*",
];
const NGINX = /\/nginx$/;
const NGINX_MODULE = /^[ \t]*load_module[ \t]+["']?([\w./-]+)["']?[ \t]*;/gm;
/** Where modules are that a configuration names by relative paths: what distributions have nginx start in. */
export const MODULE_PREFIXES: readonly string[] = ["/usr/share/nginx", "/etc/nginx"];

const NODE = /\/node(?:js)?$/;
/** Parts of Node that Debian has in packages of their own. */
const NODE_FILES = ["cjs-module-lexer/lexer.js", "cjs-module-lexer/dist/lexer.js", "acorn/dist/acorn.js"].map(
  (path) => `/usr/share/nodejs/${path}`,
);
const MAX_PARENTS = 16;

/**
 * Paths of files that a program or library is known to read first, in the order of their use; most have none. A file may be
 * at one of several paths; one that ends in `/*` stands for all files of a directory, which are the program's settings.
 *
 * @param script the absolute path that its first word names which is no option
 */
export function startFilesOf(program: string, script?: string): readonly string[] {
  if (OPENSSL.test(program)) return OPENSSL_FILES;
  if (NGINX.test(program)) return NGINX_FILES;
  if (NODE.test(program)) return [...NODE_FILES, ...(script === undefined ? [] : nodeFiles(script))];
  const [, prefix, minor] = PYTHON.exec(program) ?? [];
  return prefix === undefined || minor === undefined ? [] : pythonFiles(prefix, minor);
}

/** The paths of the modules that a file of a configuration has its program load. */
export function modulesIn(text: string): readonly string[] {
  return Array.from(text.matchAll(NGINX_MODULE), ([, path = ""]) => path);
}

/** What a script's name may be short for, and the packages that it may be of. */
function nodeFiles(script: string): readonly string[] {
  const names = script.split("/").slice(1, MAX_PARENTS);
  const directories = names.map((_, at) => ["", ...names.slice(0, at)].join("/")).toReversed();
  return [
    `${script}.js`,
    ...[script, ...directories].map((directory) => `${directory}/package.json`),
    `${script}/index.js`,
  ];
}

function pythonFiles(prefix: string, minor: string): readonly string[] {
  const library = `${prefix}/lib/python3.${minor}`;
  const compiled = (directory: string) => (name: string) =>
    `${directory}/__pycache__/${name}.cpython-3${minor}.pyc`;
  return [
    ...PYTHON_ENCODINGS.map(compiled(`${library}/encodings`)),
    ...PYTHON_MODULES.map(compiled(library)),
    "/usr/lib/locale/C.utf8/LC_CTYPE",
    ...CONVERSIONS,
    // What setuptools has every start import, where Debian and pip install it.
    ...[`${prefix}/lib/python3/dist-packages`, `${library}/site-packages`].flatMap((packages) => [
      `${packages}/distutils-precedence.pth`,
      compiled(`${packages}/_distutils_hack`)("__init__"),
    ]),
  ];
}
