package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/zstdchunked"
	"github.com/klauspost/compress/zstd"
)

// built is what build prints.
type built struct {
	Digest    string   `json:"digest"`
	Size      int64    `json:"size"`
	DiffID    string   `json:"diffId"`
	TOCDigest string   `json:"tocDigest"`
	Seconds   float64  `json:"seconds"`
	Missed    []string `json:"missed,omitempty"`
}

// zstdCompression joins the two halves that the library has apart.
type zstdCompression struct {
	*zstdchunked.Compressor
	*zstdchunked.Decompressor
}

func build(args []string) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	level := flags.Int("level", 9, "gzip level, or zstd level with -zstd")
	chunkSize := flags.Int("chunk-size", 0, "bytes; 0 is the library's default")
	minChunkSize := flags.Int("min-chunk-size", 0, "bytes")
	workers := flags.Int("workers", 0, "0 is one per core")
	useZstd := flags.Bool("zstd", false, "write zstd:chunked")
	prioritize := flags.String("prioritize", "", "a file with one path per line")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 2 {
		return fmt.Errorf("expected a tar and a file to write, got %d names", flags.NArg())
	}
	out := built{}
	options := []estargz.Option{
		estargz.WithChunkSize(*chunkSize),
		estargz.WithMinChunkSize(*minChunkSize),
		estargz.WithParallelism(*workers),
	}
	if *useZstd {
		compressor := &zstdchunked.Compressor{CompressionLevel: zstd.EncoderLevelFromZstd(*level)}
		options = append(options, estargz.WithCompression(zstdCompression{compressor, new(zstdchunked.Decompressor)}))
	} else {
		options = append(options, estargz.WithCompressionLevel(*level))
	}
	if *prioritize != "" {
		text, err := os.ReadFile(*prioritize)
		if err != nil {
			return err
		}
		paths := strings.Fields(string(text))
		options = append(options, estargz.WithPrioritizedFiles(paths), estargz.WithAllowPrioritizeNotFound(&out.Missed))
	}
	if err := out.write(flags.Arg(0), flags.Arg(1), options); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// write converts a tar and measures from the first byte read to the last one written.
func (b *built) write(tarName, outName string, options []estargz.Option) error {
	tar, err := os.Open(tarName)
	if err != nil {
		return err
	}
	defer tar.Close()
	info, err := tar.Stat()
	if err != nil {
		return err
	}
	file, err := os.Create(outName)
	if err != nil {
		return err
	}
	defer file.Close()
	start := time.Now()
	blob, err := estargz.Build(io.NewSectionReader(tar, 0, info.Size()), options...)
	if err != nil {
		return err
	}
	hash := sha256.New()
	buffered := bufio.NewWriterSize(file, 1<<20)
	if b.Size, err = io.Copy(io.MultiWriter(buffered, hash), blob); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	if err := blob.Close(); err != nil {
		return err
	}
	b.Seconds = time.Since(start).Seconds()
	b.Digest = "sha256:" + hex.EncodeToString(hash.Sum(nil))
	b.DiffID = blob.DiffID().String()
	b.TOCDigest = blob.TOCDigest().String()
	return nil
}
