/**
 * Annotation keys that seekable layers and indexes use.
 *
 * @module
 */

/** The annotation keys that esgz reads or writes. */
export const ANNOTATIONS = {
  /** Digest of the TOC JSON of an eStargz (or stargz-made zstd:chunked) layer. */
  tocDigest: "containerd.io/snapshot/stargz/toc.digest",
  /** Size of the whole decompressed layer stream, decimal. */
  uncompressedSize: "io.containers.estargz.uncompressed-size",
  /**
   * Where the TOC begins in the blob of an eStargz layer, and in those above it: see `parseTocPlaces()`. Written by esgz, so
   * that a reader asks for the TOC and no more; the footer decides where it is. Of this prefix containerd tells a snapshotter.
   */
  tocPlaces: "containerd.io/snapshot/esgz/toc.places",
  /** On layers of a TOC image: the digest of the layer that the TOC belongs to. */
  tocLayerDigest: "containerd.io/snapshot/stargz/layer.digest",
  /** zstd:chunked, prefix of stargz-snapshotter: digest of the compressed TOC. */
  zstdChecksumStargz: "io.containers.zstd-chunked.manifest-checksum",
  /** zstd:chunked, prefix of stargz-snapshotter: `offset:compressedLength:length:type`. */
  zstdPositionStargz: "io.containers.zstd-chunked.manifest-position",
  /** zstd:chunked, prefix of containers-storage: digest of the compressed TOC. */
  zstdChecksum: "io.github.containers.zstd-chunked.manifest-checksum",
  /** zstd:chunked, prefix of containers-storage: `offset:compressedLength:length:type`. */
  zstdPosition: "io.github.containers.zstd-chunked.manifest-position",
  /** zstd:chunked, prefix of containers-storage: `offset:compressedLength:length` of the tar-split data. */
  zstdTarSplitPosition: "io.github.containers.zstd-chunked.tarsplit-position",
  /** Reference name of an image in an OCI layout's index. */
  refName: "org.opencontainers.image.ref.name",
  /** containerd's full image name in an OCI layout's index. */
  containerdImageName: "io.containerd.image.name",
} as const;
