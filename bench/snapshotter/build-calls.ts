/**
 * BuildKit's way to use a snapshotter, one call after the other, each timed.
 *
 * @module
 */
import {
  type Client,
  Code,
  ConnectError,
  createClient,
  createUnixTransport,
  Snapshots,
} from "../../src/grpc/index.ts";
import { median } from "../measure/index.ts";
import type { BaseLayer } from "./base-layers.ts";

/** On what it builds. */
export interface BuildCallsOptions {
  /** Host, repository and tag. */
  readonly reference: string;
  /** The lowest first. */
  readonly layers: readonly BaseLayer[];
}

const REFERENCE = "containerd.io/snapshot/remote/stargz.reference";
const TARGET = "containerd.io/snapshot.ref";
/** What a label may hold with its key, less the id that BuildKit appends to the key. */
const MAX_LABEL = 4096 - 26;

/** A client that builds. */
export class BuildCalls {
  readonly #unix: ReturnType<typeof createUnixTransport>;
  readonly #client: Client<typeof Snapshots>;
  readonly #options: BuildCallsOptions;
  readonly #spentMs = new Map<string, number[]>();

  constructor(address: string, options: BuildCallsOptions) {
    this.#unix = createUnixTransport({ path: address });
    this.#client = createClient(Snapshots, this.#unix.transport);
    this.#options = options;
  }

  /** Makes the connection, and everything warm that a client of a snapshotter that runs has warm. */
  async connect(): Promise<void> {
    for (let times = 0; times < 50; times += 1) await this.#stat("none", false);
    this.#spentMs.clear();
  }

  /** Has all layers there; resolves with the seconds that it took. */
  async prepareBase(): Promise<number> {
    const started = performance.now();
    let parent = "";
    for (const [at, layer] of this.#options.layers.entries()) {
      const { target } = layer;
      await this.#stat(target, false);
      const labels = this.#labelsOf(at);
      const key = `tmp-${at} ${target}`;
      const isThere = await this.#isThere("Prepare", () => this.#client.prepare({ key, parent, labels }));
      if (!isThere) throw new Error(`Cannot measure: layer ${at} has to be unpacked`);
      const filter = `labels."${TARGET}"==${target},parent==${JSON.stringify(parent)}`;
      await this.#timed("List", async () => {
        for await (const _part of this.#client.list({ filters: [filter] }));
      });
      await this.#stat(target, true);
      parent = target;
    }
    const seconds = (performance.now() - started) / 1000;
    await this.#updateAll(this.#options.layers.toReversed(), "");
    return seconds;
  }

  /** One step: mounts a new snapshot on the base. */
  async runStep(step: number): Promise<void> {
    const { layers, reference } = this.#options;
    for (const { target } of layers) {
      await this.#stat(target, true);
      await this.#update(target, reference);
    }
    const key = `step ${step}`;
    const parent = layers.at(-1)?.target ?? "";
    await this.#timed("Prepare on it", () => this.#client.prepare({ key, parent }));
    await this.#timed("Mounts", () => this.#client.mounts({ key }));
    await this.#updateAll(layers.toReversed(), "");
  }

  /** Medians in milliseconds by kind of call, how long the Prepares of the base took together, and how many calls there were. */
  facts(): Readonly<Record<string, number>> {
    const all = [...this.#spentMs].map(([name, spent]) => [`${name} ms`, median(spent)] as const);
    const calls = [...this.#spentMs.values()].reduce((sum, { length }) => sum + length, 0);
    const prepares = (this.#spentMs.get("Prepare") ?? []).reduce((sum, spent) => sum + spent, 0);
    return { ...Object.fromEntries(all), "Prepares s": prepares / 1000, calls };
  }

  /** Ends the connection. */
  close(): void {
    this.#unix.close();
  }

  /** As BuildKit has them: this layer and those above it, as far as there is room. */
  #labelsOf(at: number): Record<string, string> {
    const { layers, reference } = this.#options;
    const own = layers[at];
    const room = Math.floor((MAX_LABEL - REFERENCE.length) / `${own?.digest},`.length);
    const above = layers.slice(at, at + room).map(({ digest }) => digest);
    return {
      [TARGET]: own?.target ?? "",
      [REFERENCE]: reference,
      "containerd.io/snapshot/remote/stargz.digest": own?.digest ?? "",
      "containerd.io/snapshot/remote/stargz.layers": above.join(","),
      "containerd.io/snapshot/stargz/toc.digest": own?.tocDigest ?? "",
    };
  }

  async #stat(key: string, isExpected: boolean): Promise<void> {
    try {
      await this.#timed("Stat", () => this.#client.stat({ key }));
    } catch (error) {
      if (isExpected || !isCode(error, Code.NotFound)) throw error;
    }
  }

  async #updateAll(layers: readonly BaseLayer[], value: string): Promise<void> {
    for (const { target } of layers) await this.#update(target, value);
  }

  /** Sets the label of a session, or takes it away. */
  async #update(name: string, value: string): Promise<void> {
    const key = `${REFERENCE}.abcdefghijklmnopqrstuvwxy`;
    const labels: Record<string, string> = value === "" ? {} : { [key]: value };
    await this.#timed("Update", () =>
      this.#client.update({ info: { name, labels }, updateMask: { paths: [`labels.${key}`] } }),
    );
  }

  async #isThere(name: string, call: () => Promise<unknown>): Promise<boolean> {
    try {
      await this.#timed(name, call);
      return false;
    } catch (error) {
      if (isCode(error, Code.AlreadyExists)) return true;
      throw error;
    }
  }

  async #timed<T>(name: string, call: () => Promise<T>): Promise<T> {
    const started = performance.now();
    try {
      return await call();
    } finally {
      const spent = this.#spentMs.get(name) ?? [];
      this.#spentMs.set(name, spent);
      spent.push(performance.now() - started);
    }
  }
}

function isCode(error: unknown, code: Code): boolean {
  return error instanceof ConnectError && error.code === code;
}
