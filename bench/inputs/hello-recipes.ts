/**
 * Images in the manner of HelloBench: what official images hold, from Debian, npm and PyPI packages, each with a command
 * and the moment at which it counts as started.
 *
 * @module
 */

/** What a layer adds to those below it. */
export interface LayerRecipe {
  /** Names the layer in the cache: the same name is the same layer. */
  readonly name: string;
  /** Run as root in the tree so far, by `sh -e`. */
  readonly script?: string;
  /** Run outside, by `sh -e`, in the directory of what the layer adds. */
  readonly outside?: string;
}

/** Work that is measured in an image that is all here. */
export interface WarmWork {
  readonly name: string;
  /** For `sh -e`, as root in the image, with a /tmp of its own that can be written. */
  readonly script: string;
}

/** An image. */
export interface HelloRecipe {
  readonly name: string;
  /** The base first. */
  readonly layers: readonly LayerRecipe[];
  readonly command: readonly string[];
  /** Started when a line with this text is printed; when the command ends well, if absent. */
  readonly ready?: string;
  /** What else to measure once all is here. */
  readonly warm?: readonly WarmWork[];
}

const install = (...packages: string[]): string =>
  `apt-get -qq update && apt-get -qq install -y --no-install-recommends ${packages.join(" ")} >/dev/null && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb /var/log/*`;

/** Made by mmdebstrap, not by a script. */
export const BASE: LayerRecipe = { name: "debian" };

/** What the official language images are built upon. */
const BUILD_TOOLS: LayerRecipe = {
  name: "build-tools",
  script: install(
    "ca-certificates curl git g++ gcc make patch pkg-config unzip xz-utils",
    "libbz2-dev libcurl4-openssl-dev libffi-dev libglib2.0-dev libjpeg-dev libpng-dev libpq-dev",
    "libsqlite3-dev libssl-dev libxml2-dev libxslt1-dev libyaml-dev zlib1g-dev",
  ),
};

const PYTHON: LayerRecipe = { name: "python", script: install("python3", "python3-pip", "python3-venv") };
const C_SOURCE = '#include <stdio.h>\\nint main(void) { puts("hello"); return 0; }\\n';
const GO_SOURCE = 'package main\\nimport "fmt"\\nfunc main() { fmt.Println("hello") }\\n';
const JAVA_SOURCE = 'class Main { public static void main(String[] a) { System.out.println("hello"); } }\\n';

/** A file that a layer adds, as shell text. */
function source(path: string, text: string): string {
  return `mkdir -p "$(dirname ${path})" && printf '${text}' > ${path}`;
}

/** All images, by name. */
export const HELLO_RECIPES: readonly HelloRecipe[] = [
  {
    name: "python",
    layers: [BASE, BUILD_TOOLS, PYTHON],
    command: ["python3", "-c", 'print("hello")'],
    warm: [
      {
        name: "python -c import",
        script:
          "python3 -c 'import asyncio, ctypes, email.mime.text, http.server, json, sqlite3, ssl, unittest.mock, xml.dom.minidom, pip._internal.cli.main'",
      },
    ],
  },
  {
    name: "node",
    layers: [
      BASE,
      BUILD_TOOLS,
      { name: "node", script: install("nodejs") },
      {
        name: "express",
        outside:
          "mkdir app && cd app && npm init -y >/dev/null && npm install --silent --no-audit --no-fund express@4 >/dev/null",
      },
    ],
    command: [
      "node",
      "-e",
      // As the first process, node would not heed the signal by itself.
      'process.on("SIGTERM", () => process.exit()); require("/app/node_modules/express")().listen(8080, () => { console.log("listening"); })',
    ],
    ready: "listening",
  },
  {
    name: "gcc",
    layers: [BASE, BUILD_TOOLS, { name: "hello-c", script: source("/src/main.c", C_SOURCE) }],
    command: ["sh", "-c", "gcc -O2 -o /tmp/hello /src/main.c && /tmp/hello"],
    warm: [
      {
        name: "compile",
        script:
          "for i in 1 2 3 4 5; do gcc -O2 -o /tmp/hello /src/main.c; done; printf '#include <iostream>\\n#include <map>\\n#include <regex>\\nint main() {}\\n' > /tmp/a.cc; g++ -o /tmp/a /tmp/a.cc && /tmp/a",
      },
    ],
  },
  {
    name: "golang",
    layers: [
      BASE,
      BUILD_TOOLS,
      { name: "golang", script: install("golang-1.19") },
      { name: "hello-go", script: source("/src/main.go", GO_SOURCE) },
    ],
    command: ["sh", "-c", "cd /src && HOME=/tmp GOFLAGS=-mod=mod /usr/lib/go-1.19/bin/go run main.go"],
  },
  {
    name: "openjdk",
    layers: [
      BASE,
      { name: "openjdk", script: `mkdir -p /usr/share/man/man1 && ${install("openjdk-17-jdk-headless")}` },
      { name: "hello-java", script: source("/src/Main.java", JAVA_SOURCE) },
    ],
    command: ["sh", "-c", "javac -d /tmp /src/Main.java && java -cp /tmp Main"],
  },
  {
    name: "postgresql",
    layers: [BASE, { name: "postgresql", script: install("postgresql-15") }],
    command: [
      "su",
      "postgres",
      "-c",
      "/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main -c config_file=/etc/postgresql/15/main/postgresql.conf -c listen_addresses=127.0.0.1 -c unix_socket_directories=/tmp",
    ],
    ready: "database system is ready to accept connections",
  },
  {
    name: "redis",
    layers: [BASE, { name: "redis", script: install("redis-server") }],
    command: ["redis-server", "--save", "", "--bind", "127.0.0.1"],
    ready: "Ready to accept connections",
  },
  {
    name: "nginx",
    layers: [BASE, { name: "nginx", script: install("nginx-light") }],
    command: [
      "bash",
      "-c",
      "mkdir -p /var/log/nginx; nginx && exec 3<>/dev/tcp/127.0.0.1/80 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && head -1 <&3",
    ],
  },
  {
    name: "tensorflow",
    layers: [
      BASE,
      PYTHON,
      {
        name: "tensorflow",
        outside:
          "pip install -q --no-compile --target usr/local/lib/python3.11/dist-packages tensorflow-cpu==2.15.1 scikit-learn pandas >/dev/null 2>&1",
      },
    ],
    command: ["python3", "-c", "import tensorflow as t; print(t.__version__)"],
    warm: [{ name: "python -c import", script: "python3 -c 'import tensorflow, sklearn, pandas'" }],
  },
  manyLayers(2),
  manyLayers(32),
  manyLayers(55),
  manyLayers(100),
  {
    name: "files-100k",
    layers: [
      BASE,
      {
        name: "files-100k",
        outside:
          'for d in $(seq 200); do mkdir -p "data/d$d"; for f in $(seq 500); do echo "$d $f" > "data/d$d/f$f"; done; done',
      },
    ],
    command: ["sh", "-c", "find /data -type f -size +0 | wc -l"],
  },
];

/** A base and layers of 20 files each; the command reads one of every layer. */
function manyLayers(count: number): HelloRecipe {
  const layers = Array.from({ length: count - 1 }, (_, at) => ({
    name: `small-${at}`,
    outside: `mkdir -p layers/${at} && for f in $(seq 20); do head -c 50000 /dev/urandom | base64 > layers/${at}/f$f; done`,
  }));
  return {
    name: `layers-${count}`,
    layers: [BASE, ...layers],
    command: ["sh", "-c", "cat /layers/*/f1 | wc -c"],
  };
}
