/**
 * `node bench/fuse-roundtrip.ts`: what a request costs through the kernel and back, and how fast content flows. Needs root.
 *
 * The client is a process of its own that makes plain system calls, one after another; `clients` of them at once.
 *
 * @module
 */
import { execFile } from "node:child_process";
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { isMainThread } from "node:worker_threads";
import {
  createAttributes,
  mountFuse,
  ROOT_NODE,
  serveFuse,
  type Filesystem,
  type FuseConnection,
  type FuseFeatures,
} from "../src/fuse/index.ts";

const CALLS = 20_000;
const SIZE = 512 * 1024 * 1024;
const PIECE = 1024 * 1024;

interface Way {
  readonly backingFile?: string;
  readonly answer?: "value" | "promise";
}

/** Served by a worker: a file whose name and attributes are never cached. */
export function createFilesystem(data: unknown, connection: FuseConnection): Filesystem {
  const { backingFile, answer } = data as Way;
  const never = { generation: 0, entryTimeoutMs: 0, attributesTimeoutMs: 0 };
  const root = createAttributes("dir", { inode: ROOT_NODE });
  const file = createAttributes("reg", { inode: 2, size: SIZE });
  return {
    lookup: (_, name) => ({ ...never, node: name === "cached" ? 3 : 2, attributes: file }),
    getattr: (node) => ({ attributesTimeoutMs: Infinity, attributes: node === ROOT_NODE ? root : file }),
    read: (_, { buffer }) => (answer === "promise" ? Promise.resolve(new Uint8Array(buffer.length)) : buffer),
    open: (node) => {
      if (backingFile !== undefined) return { backing: connection.openBacking(openSync(backingFile, "r")) };
      return node === 3 ? {} : { directIo: true };
    },
  };
}

if (isMainThread)
  await (process.argv[2] === undefined ? runAll() : runClient(process.argv[2], process.argv[3] ?? ""));

async function runAll(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "esgz-fuse-bench-"));
  const backingFile = join(directory, "backing");
  writeFileSync(backingFile, Buffer.alloc(SIZE));
  try {
    await measure("one thread, values", { data: { answer: "value" }, clients: 1 });
    await measure("one thread, values", { data: { answer: "value" }, clients: 4 });
    await measure("two threads, values", { data: { answer: "value" }, clients: 1, threads: 2 });
    await measure("two threads, values", { data: { answer: "value" }, clients: 4, threads: 2 });
    await measure("one thread, promises", { data: { answer: "promise" }, clients: 1 });
    await measure("passthrough", { data: { backingFile }, clients: 1, features: { passthrough: true } });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function measure(
  name: string,
  options: {
    readonly data: Way;
    readonly clients: number;
    readonly threads?: number;
    readonly features?: FuseFeatures;
  },
): Promise<void> {
  const target = mkdtempSync(join(tmpdir(), "esgz-fuse-bench-"));
  {
    await using mount = await mountFuse(target);
    const { data, threads = 1, features = {} } = options;
    await using _server = await serveFuse(mount.fd, {
      filesystem: new URL(import.meta.url),
      data,
      threads,
      features,
    });
    const figures: string[] = [];
    for (const kind of ["lookup", "read", "direct", "cached"]) {
      const run = promisify(execFile);
      const parameters = [import.meta.filename, kind, target];
      const clients = Array.from({ length: options.clients }, () => run(process.execPath, parameters));
      const results = (await Promise.all(clients)).map(({ stdout }) => Number(stdout));
      const mean = results.reduce((sum, value) => sum + value, 0) / results.length;
      figures.push(
        kind === "lookup" || kind === "read"
          ? `${kind} ${mean.toFixed(1)} µs`
          : `${kind} ${mean.toFixed(0)} MB/s`,
      );
    }
    console.log(`${name}, ${options.clients} clients: ${figures.join(", ")}`);
  }
  rmSync(target, { recursive: true });
}

function runClient(kind: string, target: string): void {
  if (kind === "lookup") console.log(timeCalls(() => statSync(join(target, "file"))));
  else if (kind === "read") {
    const [fd, buffer] = [openSync(join(target, "file"), "r"), Buffer.alloc(4096)];
    console.log(timeCalls((index) => readSync(fd, buffer, 0, 4096, (index % 1000) * 4096)));
    closeSync(fd);
  } else console.log(throughput(join(target, kind)));
}

/** µs a call. */
function timeCalls(call: (index: number) => unknown): number {
  for (let index = 0; index < CALLS / 10; index += 1) call(index);
  const start = performance.now();
  for (let index = 0; index < CALLS; index += 1) call(index);
  return ((performance.now() - start) * 1000) / CALLS;
}

/** MB/s. */
function throughput(path: string): number {
  const [fd, buffer] = [openSync(path, "r"), Buffer.alloc(PIECE)];
  const start = performance.now();
  let size = 0;
  for (let read = 1; read > 0 && size < fstatSync(fd).size; size += read)
    read = readSync(fd, buffer, 0, PIECE, size);
  closeSync(fd);
  return size / 1000 / (performance.now() - start);
}
