// Command containers-storage is an independent witness for the tests of esgz: it pulls a zstd:chunked layer in parts, with
// the library that Podman, Buildah, skopeo and CRI-O keep their images in.
//
//	containers-storage ANNOTATIONS BLOB DIR   applies the layer to a store in DIR, prints what it found, as JSON
//
// Needs root: the library has partial pulls with its overlay driver only.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/chunked"
	"go.podman.io/storage/pkg/reexec"
)

// applied is what is printed.
type applied struct {
	DiffID digest.Digest `json:"diffId"`
	// Rebuilt is the digest of the tar that the library makes of the files again.
	Rebuilt digest.Digest `json:"rebuilt"`
	Size    int64         `json:"size"`
	// Requests is how often a part of the blob was asked for.
	Requests int `json:"requests"`
}

// source gives out parts of a file.
type source struct {
	file     *os.File
	requests int
}

func (s *source) GetBlobAt(chunks []chunked.ImageSourceChunk) (chan io.ReadCloser, chan error, error) {
	s.requests += len(chunks)
	streams, errors := make(chan io.ReadCloser), make(chan error)
	go func() {
		for _, chunk := range chunks {
			streams <- io.NopCloser(io.NewSectionReader(s.file, int64(chunk.Offset), int64(chunk.Length)))
		}
		close(streams)
		close(errors)
	}()
	return streams, errors, nil
}

func main() {
	if reexec.Init() {
		return
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "containers-storage:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("expected annotations, a blob and a directory, got %d arguments", len(args))
	}
	var annotations map[string]string
	if err := json.Unmarshal([]byte(args[0]), &annotations); err != nil {
		return err
	}
	blob, err := os.Open(args[1])
	if err != nil {
		return err
	}
	defer blob.Close()
	store, err := storage.GetStore(storage.StoreOptions{
		RunRoot:         args[2] + "/run",
		GraphRoot:       args[2] + "/graph",
		GraphDriverName: "overlay",
		PullOptions:     map[string]string{"enable_partial_images": "true"},
	})
	if err != nil {
		return err
	}
	result, err := apply(store, &source{file: blob}, annotations)
	if _, shutdownErr := store.Shutdown(true); err == nil {
		err = shutdownErr
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

func apply(store storage.Store, blob *source, annotations map[string]string) (*applied, error) {
	blobDigest, err := digest.FromReader(blob.file)
	if err != nil {
		return nil, err
	}
	info, err := blob.file.Stat()
	if err != nil {
		return nil, err
	}
	differ, err := chunked.NewDiffer(context.Background(), store, blobDigest, info.Size(), annotations, blob)
	if err != nil {
		return nil, err
	}
	defer differ.Close()
	staged, err := store.PrepareStagedLayer(nil, differ)
	if err != nil {
		return nil, err
	}
	layer, err := store.ApplyStagedLayer(storage.ApplyStagedLayerOptions{
		ID:         blobDigest.Encoded(),
		DiffOutput: staged,
	})
	if err != nil {
		return nil, err
	}
	tar, err := store.Diff("", layer.ID, nil)
	if err != nil {
		return nil, err
	}
	defer tar.Close()
	rebuilt, err := digest.FromReader(tar)
	if err != nil {
		return nil, err
	}
	return &applied{DiffID: layer.UncompressedDigest, Rebuilt: rebuilt, Size: staged.Size, Requests: blob.requests}, nil
}
