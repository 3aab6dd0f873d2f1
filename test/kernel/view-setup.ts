/**
 * A store with the two test layers and views of it, gone with all mounts when the test ends.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import { systemClock } from "../../src/async/index.ts";
import { unmountBelow } from "../../src/erofs-mount/index.ts";
import {
  LayerViews,
  type LayerViewsOptions,
  type ViewedImage,
  type ViewEvent,
} from "../../src/lazyfs/index.ts";
import { openStore, type LayerHandle, type Store } from "../../src/store/index.ts";
import type { Descriptions } from "./erofs-trees.ts";
import { MemoryFetcher } from "./memory-fetcher.ts";
import { devicesOf, storeLayer, testImage, twoLayers, twoLayersMerged } from "./view-images.ts";

/** What a test works with. */
export interface ViewSetup {
  readonly root: string;
  /** A directory to mount on. */
  readonly target: string;
  readonly store: Store;
  readonly fetcher: MemoryFetcher;
  readonly views: LayerViews;
  readonly handles: readonly LayerHandle[];
  readonly image: ViewedImage;
  readonly events: readonly ViewEvent[];
}

/** Opens a store with two layers that lack all their contents. */
export async function setUpViews(
  t: TestContext,
  options: Partial<LayerViewsOptions> = {},
): Promise<ViewSetup> {
  const root = await mkdtemp(join(tmpdir(), "esgz-views-"));
  const cleanups: (() => Promise<unknown>)[] = [];
  t.after(async () => {
    for (const clean of cleanups.reverse())
      await clean().catch((error: unknown) => t.diagnostic(String(error)));
    await unmountBelow(root, { lazy: true });
    await rm(root, { recursive: true, force: true });
  });
  const target = join(root, "target");
  await mkdir(target);
  const store = await openStore(join(root, "store"), { clock: systemClock, pid: process.pid });
  cleanups.push(() => store.close());
  const layers = twoLayers();
  const handles: LayerHandle[] = [];
  for (const layer of layers) handles.push(await storeLayer(store, layer));
  cleanups.push(() => Promise.all(handles.map((handle) => handle.close())));
  const image = await testImage(root, { handles, merged: twoLayersMerged() });
  const fetcher = new MemoryFetcher(devicesOf(layers));
  const events: ViewEvent[] = [];
  const views = await LayerViews.open({
    store,
    fetcher,
    directory: store.root,
    clock: systemClock,
    rootless: false,
    onEvent: (event) => void events.push(event),
    ...options,
  });
  cleanups.push(() => views.close());
  return { root, target, store, fetcher, views, handles, image, events };
}

/** What the kernel shows below a directory, as another process sees it. */
export async function describeElsewhere(directory: string): Promise<Descriptions> {
  const program = join(import.meta.dirname, "describe-mount-process.ts");
  const { stdout } = await promisify(execFile)(process.execPath, [program, directory], {
    maxBuffer: 64 << 20,
  });
  return JSON.parse(stdout) as Descriptions;
}

/** Runs a command; its exit status, and what it said. */
export async function run(
  program: string,
  ...parameters: string[]
): Promise<{ readonly status: number; readonly stdout: Buffer; readonly stderr: string }> {
  return await new Promise((resolve) => {
    execFile(program, parameters, { encoding: "buffer", timeout: 120_000 }, (error, stdout, stderr) => {
      const code = error?.code;
      const status = error === null ? 0 : typeof code === "number" ? code : -1;
      resolve({ status, stdout, stderr: stderr.toString() });
    });
  });
}

/** Views of the same store, as a process has them that comes after one that died. */
export async function openSecond(
  { store, fetcher }: ViewSetup,
  options: Partial<LayerViewsOptions> = {},
): Promise<LayerViews> {
  return await LayerViews.open({
    store,
    fetcher,
    directory: store.root,
    clock: systemClock,
    rootless: false,
    ...options,
  });
}

/** A process that has a file of a mount open: `opened` when it has, `finish` lets it read all and gives the bytes. */
export function startUser(
  t: TestContext,
  path: string,
): { readonly opened: Promise<unknown>; readonly finish: () => Promise<number> } {
  const script = 'exec 3< "$1"; echo open; read line; cat <&3 | wc -c';
  const child = spawn("sh", ["-c", script, "sh", path], { stdio: ["pipe", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  const opened = once(child.stdout, "data");
  return {
    opened,
    async finish() {
      child.stdin.end("\n");
      await once(child, "close");
      return Number(said.replace("open", "").trim());
    },
  };
}
