#!/bin/sh
// 2> /dev/null; exec node -- "$0" "$@"
// esgz under the name, and with the flags, of the layer store that it replaces. Go's flags may have one dash.
const flags = process.argv.slice(2).map((word) => (/^-[a-z]./.test(word) ? `-${word}` : word));
process.argv.splice(2, Infinity, "stargz-store", ...flags);
await import("./esgz.js");
