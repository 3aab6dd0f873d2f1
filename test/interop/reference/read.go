package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/externaltoc"
	"github.com/containerd/stargz-snapshotter/estargz/zstdchunked"
	"github.com/opencontainers/go-digest"
)

// file is what the library says about one path.
type file struct {
	Type     string            `json:"type"`
	Mode     int64             `json:"mode"`
	UID      int               `json:"uid"`
	GID      int               `json:"gid"`
	Size     int64             `json:"size"`
	ModTime  string            `json:"modtime"`
	LinkName string            `json:"linkName,omitempty"`
	DevMajor int               `json:"devMajor,omitempty"`
	DevMinor int               `json:"devMinor,omitempty"`
	Xattrs   map[string][]byte `json:"xattrs,omitempty"`
	SHA256   string            `json:"sha256,omitempty"`
	Chunks   int               `json:"chunks,omitempty"`
	Offset   int64             `json:"offset,omitempty"`
}

// result is what read prints.
type result struct {
	TOCDigest string `json:"tocDigest"`
	// Verified says that the library's own VerifyTOC accepted the digest and found one for every chunk.
	Verified bool `json:"verified"`
	// VerifyError is why it did not, where it knows no better: its verifier cannot tell chunks that share a member.
	VerifyError string          `json:"verifyError,omitempty"`
	Files       map[string]file `json:"files"`
}

func read(args []string) error {
	flags := flag.NewFlagSet("read", flag.ContinueOnError)
	tocDigest := flags.String("toc-digest", "", "the digest that the TOC must have")
	tocFile := flags.String("toc", "", "the layer of a TOC image, for a blob whose TOC is not inside")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("expected one blob, got %d", flags.NArg())
	}
	blob, err := os.Open(flags.Arg(0))
	if err != nil {
		return err
	}
	defer blob.Close()
	reader, err := open(blob, *tocFile)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	out := result{TOCDigest: reader.TOCDigest().String(), Files: map[string]file{}}
	want := reader.TOCDigest()
	if *tocDigest != "" {
		want = digest.Digest(*tocDigest)
	}
	if want != reader.TOCDigest() {
		return fmt.Errorf("expected TOC digest %s, got %s", want, reader.TOCDigest())
	}
	verifier, err := reader.VerifyTOC(want)
	if err != nil {
		out.VerifyError = err.Error()
	} else {
		out.Verified = true
	}
	root, ok := reader.Lookup("")
	if !ok {
		return fmt.Errorf("no root")
	}
	w := walker{reader: reader, verifier: verifier, files: out.Files}
	if err := w.directory("", root); err != nil {
		return err
	}
	encoder := json.NewEncoder(os.Stdout)
	return encoder.Encode(out)
}

func open(blob *os.File, tocFile string) (*estargz.Reader, error) {
	info, err := blob.Stat()
	if err != nil {
		return nil, err
	}
	provide := func() ([]byte, error) {
		if tocFile == "" {
			return nil, fmt.Errorf("the TOC is not in the blob, and -toc is not given")
		}
		return os.ReadFile(tocFile)
	}
	return estargz.Open(
		io.NewSectionReader(blob, 0, info.Size()),
		estargz.WithDecompressors(new(zstdchunked.Decompressor), externaltoc.NewGzipDecompressor(provide)),
	)
}

// walker visits the tree that the library shows, and reads every file in it.
type walker struct {
	reader   *estargz.Reader
	verifier estargz.TOCEntryVerifier
	files    map[string]file
}

func (w *walker) directory(path string, entry *estargz.TOCEntry) error {
	if err := w.add(path, entry); err != nil {
		return err
	}
	names := []string{}
	entry.ForeachChild(func(name string, _ *estargz.TOCEntry) bool {
		names = append(names, name)
		return true
	})
	sort.Strings(names)
	for _, name := range names {
		child, ok := entry.LookupChild(name)
		if !ok {
			return fmt.Errorf("%q: lost child %q", path, name)
		}
		full := name
		if path != "" {
			full = path + "/" + name
		}
		next := w.add
		if child.Type == "dir" {
			next = w.directory
		}
		if err := next(full, child); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) add(path string, entry *estargz.TOCEntry) error {
	f := file{
		Type: entry.Type, Mode: entry.Mode & 0o7777, UID: entry.UID, GID: entry.GID, Size: entry.Size,
		ModTime: entry.ModTime3339, LinkName: entry.LinkName, DevMajor: entry.DevMajor, DevMinor: entry.DevMinor,
		Xattrs: entry.Xattrs, Offset: entry.Offset,
	}
	if entry.Type == "reg" {
		if err := w.content(path, entry, &f); err != nil {
			return fmt.Errorf("%q: %w", path, err)
		}
	}
	w.files[path] = f
	return nil
}

// content reads a file, checks its own digest and that of every chunk.
func (w *walker) content(path string, entry *estargz.TOCEntry, f *file) error {
	reader, err := w.reader.OpenFile(path)
	if err != nil {
		return err
	}
	content := make([]byte, entry.Size)
	if _, err := io.ReadFull(reader, content); err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	f.SHA256 = hex.EncodeToString(sum[:])
	if entry.Digest != "sha256:"+f.SHA256 {
		return fmt.Errorf("expected digest %s, got %s", entry.Digest, f.SHA256)
	}
	for at := int64(0); at < entry.Size; f.Chunks++ {
		// By the entry's own name: the library does not find the chunks of a file by a hard link to it.
		chunk, ok := w.reader.ChunkEntryForOffset(entry.Name, at)
		if !ok || chunk.ChunkOffset != at || chunk.ChunkSize <= 0 {
			return fmt.Errorf("no chunk at %d", at)
		}
		if at+chunk.ChunkSize > entry.Size {
			return fmt.Errorf("chunk at %d ends behind the file", at)
		}
		if err := w.chunk(chunk, content[at:at+chunk.ChunkSize]); err != nil {
			return fmt.Errorf("chunk at %d: %w", at, err)
		}
		at += chunk.ChunkSize
	}
	return nil
}

func (w *walker) chunk(entry *estargz.TOCEntry, content []byte) error {
	if found := digest.FromBytes(content).String(); found != entry.ChunkDigest {
		return fmt.Errorf("expected digest %s, got %s", entry.ChunkDigest, found)
	}
	if w.verifier == nil {
		return nil
	}
	verifier, err := w.verifier.Verifier(entry)
	if err != nil {
		return err
	}
	if _, err := verifier.Write(content); err != nil {
		return err
	}
	if !verifier.Verified() {
		return fmt.Errorf("the library's verifier refuses it")
	}
	return nil
}
