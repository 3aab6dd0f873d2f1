// Command reference is an independent witness for the tests of esgz: it reads and writes seekable layers with the
// stargz-snapshotter project's own library.
//
//	reference read  [-toc-digest D] [-toc FILE] BLOB                  prints what the blob holds, as JSON
//	reference build [-level N] [-chunk-size N] [-min-chunk-size N]
//	                [-workers N] [-zstd] [-prioritize FILE] TAR OUT   writes a layer, prints digests and seconds
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("expected read or build")
	}
	switch args[0] {
	case "read":
		return read(args[1:])
	case "build":
		return build(args[1:])
	}
	return fmt.Errorf("expected read or build, got %q", args[0])
}
