/**
 * For tests: a kubelet without a cluster, on a {@link LazyNode}. It runs pods whose manifests lie in a directory, in the network of
 * the machine, and changes nothing of the machine: what it would set for all of it, it finds set, in a mount namespace of its own.
 *
 * `ESGZ_KUBELET` names a directory with `kubelet`.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { until } from "../kernel/daemon-setup.ts";
import { freePort } from "../registry/free-port.ts";
import type { LazyNode } from "./lazy-node.ts";

const DIRECTORY: string | undefined = process.env["ESGZ_KUBELET"];

/** What the kubelet wants of the kernel. */
const SETTINGS = new Map([
  ["vm/overcommit_memory", "1"],
  ["vm/panic_on_oom", "0"],
  ["kernel/panic", "10"],
  ["kernel/panic_on_oops", "1"],
]);

/** Lets go of the copies of the node's mounts, which would outlive them here. Arguments: the node, the kubelet's directory. */
const SCRIPT = `set -e
awk -v base="$1/" 'index($2, base) == 1 { print $2 }' /proc/self/mounts | tac | while read -r place; do umount -l "$place"; done
mount --bind "$2/lib" /var/lib
mount --bind "$2/log" /var/log
${[...SETTINGS.keys()].map((key) => `mount --bind "$2/${fileOf(key)}" /proc/sys/${key}`).join("\n")}
shift 2
exec "$@"
`;

/** Why there is no kubelet; undefined if there is. */
export function whyNoKubelet(): string | undefined {
  if (DIRECTORY === undefined) return "ESGZ_KUBELET names no directory with kubelet";
  return existsSync(join(DIRECTORY, "kubelet")) ? undefined : `${DIRECTORY} has no kubelet`;
}

/** A pod of one container. */
export interface PodPlan {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
}

/** A pod as the kubelet has it. */
export interface PodState {
  readonly phase: string;
  /** Of its container, if it was started. */
  readonly container: string | undefined;
  readonly restarts: number;
}

/** What the kubelet says of bytes. */
export interface KubeletFigures {
  readonly images: FilesystemFigures;
  /** Of containers, by the name of their pods. */
  readonly written: ReadonlyMap<string, FilesystemFigures>;
}

/** Bytes. */
export interface FilesystemFigures {
  readonly usedBytes: number;
  readonly availableBytes: number;
  readonly capacityBytes: number;
}

interface PodList {
  readonly items:
    | readonly {
        readonly metadata: { readonly name: string };
        readonly status: {
          readonly phase: string;
          readonly containerStatuses?: readonly {
            readonly containerID?: string;
            readonly restartCount: number;
          }[];
        };
      }[]
    | null;
}

interface Summary {
  readonly node: { readonly runtime: { readonly imageFs: FilesystemFigures } };
  readonly pods: readonly {
    readonly podRef: { readonly name: string };
    readonly containers: readonly { readonly rootfs: FilesystemFigures }[];
  }[];
}

/** One kubelet. */
export class StandaloneKubelet {
  readonly #node: LazyNode;
  readonly #base: string;
  #process: ChildProcess | undefined;
  #port = 0;

  private constructor(node: LazyNode) {
    this.#node = node;
    this.#base = join(node.base, "kubelet");
  }

  /**
   * Starts one that gives these credentials to pulls, by registry. It ends, with its pods, before the node does.
   */
  static async start(
    node: LazyNode,
    credentials: Readonly<Record<string, { readonly username: string; readonly password: string }>>,
  ): Promise<StandaloneKubelet> {
    const kubelet = new StandaloneKubelet(node);
    await kubelet.#prepare(credentials);
    node.beforeEnd(() => kubelet.#stop());
    await kubelet.restart();
    return kubelet;
  }

  /** Starts it (anew). With `pressure` its disk is too full for it: it removes images that nothing uses. */
  async restart({ pressure = false }: { readonly pressure?: boolean } = {}): Promise<void> {
    await this.#stop();
    const [port, readOnlyPort] = [await freePort(), await freePort()];
    this.#port = readOnlyPort;
    const config = join(this.#base, "config.yaml");
    await writeFile(config, JSON.stringify(this.#configuration({ port, readOnlyPort, pressure })));
    const log = openSync(join(this.#base, "kubelet.log"), "a");
    const flags = ["--config", config, "--root-dir", join(this.#base, "root"), "--hostname-override", "node"];
    const program = [join(DIRECTORY ?? "", "kubelet"), ...flags, "--cert-dir", join(this.#base, "pki")];
    this.#process = spawn(
      "unshare",
      [
        "--mount",
        "--propagation",
        "slave",
        "sh",
        "-c",
        SCRIPT,
        "sh",
        this.#node.base,
        this.#base,
        ...program,
      ],
      { stdio: ["ignore", log, log], env: { ...process.env, HOME: this.#base } },
    );
    closeSync(log);
    const answers = (): Promise<boolean> => this.pods().then(Boolean, () => false);
    await until(async () => !isAlive(this.#process) || (await answers()), "the kubelet's start");
    if (!isAlive(this.#process)) throw new Error(`the kubelet ended: ${this.log().slice(-2000)}`);
  }

  /** Has it run a pod, and waits until it runs. */
  async run({ name, image, command }: PodPlan): Promise<PodState & { readonly container: string }> {
    const manifest = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace: "default" },
      spec: {
        hostNetwork: true,
        terminationGracePeriodSeconds: 1,
        containers: [{ name: "main", image, command }],
      },
    };
    await writeFile(this.#manifest(name), JSON.stringify(manifest));
    await until(async () => (await this.pod(name))?.phase === "Running", `pod ${name}`);
    const state = await this.pod(name);
    if (state?.container === undefined) throw new Error(`pod ${name} has no container`);
    return { ...state, container: state.container };
  }

  /** Has it end a pod, and waits until it has. */
  async end(name: string): Promise<void> {
    await rm(this.#manifest(name));
    await until(async () => (await this.pod(name)) === undefined, `the end of pod ${name}`);
  }

  /** One pod; undefined if there is none. */
  async pod(name: string): Promise<PodState | undefined> {
    return (await this.pods()).get(name);
  }

  /** The pods that there are, by the names of their manifests. */
  async pods(): Promise<ReadonlyMap<string, PodState>> {
    const { items } = (await this.#ask("/pods")) as PodList;
    return new Map(
      (items ?? []).map(({ metadata, status }) => {
        const [main] = status.containerStatuses ?? [];
        const container = main?.containerID?.replace(/^containerd:\/\//, "");
        const state = { phase: status.phase, container, restarts: main?.restartCount ?? 0 };
        // The kubelet appends the node's name.
        return [metadata.name.replace(/-node$/, ""), state] as const;
      }),
    );
  }

  /** What it says of bytes now. */
  async figures(): Promise<KubeletFigures> {
    const { node, pods } = (await this.#ask("/stats/summary")) as Summary;
    const written = pods.flatMap(({ podRef, containers }) =>
      containers.map(({ rootfs }) => [podRef.name.replace(/-node$/, ""), rootfs] as const),
    );
    return { images: node.runtime.imageFs, written: new Map(written) };
  }

  /** What it has said. */
  log(): string {
    return readFileSync(join(this.#base, "kubelet.log"), "utf8");
  }

  /** What containers have printed: a directory as the kubelet lays it out. */
  get logs(): string {
    return join(this.#base, "pod-logs");
  }

  async #prepare(auths: Readonly<Record<string, { readonly username: string; readonly password: string }>>) {
    for (const name of ["manifests", "root", "lib", "log"])
      await mkdir(join(this.#base, name), { recursive: true });
    for (const [key, value] of SETTINGS) await writeFile(join(this.#base, fileOf(key)), `${value}\n`);
    await writeFile(join(this.#base, "root", "config.json"), JSON.stringify({ auths }));
    // containerd before 1.6.32 tells of this place, whatever the plugin exports.
    const told = join(this.#node.base, "root", "io.containerd.snapshotter.v1.stargz");
    await symlink(this.#node.store, told);
  }

  #configuration({
    pressure,
    ...ports
  }: {
    readonly port: number;
    readonly readOnlyPort: number;
    readonly pressure: boolean;
  }): object {
    return {
      apiVersion: "kubelet.config.k8s.io/v1beta1",
      kind: "KubeletConfiguration",
      ...ports,
      address: "127.0.0.1",
      healthzPort: 0,
      authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
      authorization: { mode: "AlwaysAllow" },
      containerRuntimeEndpoint: `unix://${this.#node.socket}`,
      imageServiceEndpoint: `unix://${this.#node.plugin}`,
      staticPodPath: join(this.#base, "manifests"),
      podLogsDir: this.logs,
      volumePluginDir: join(this.#base, "volume-plugins"),
      fileCheckFrequency: "1s",
      // Whatever the machine has: nothing here is about resources.
      failSwapOn: false,
      failCgroupV1: false,
      cgroupDriver: "cgroupfs",
      cgroupsPerQOS: false,
      enforceNodeAllocatable: [],
      oomScoreAdj: 0,
      imageMinimumGCAge: "1s",
      evictionHard: pressure ? { "imagefs.available": "99.9%" } : { "memory.available": "1Mi" },
    };
  }

  #manifest(name: string): string {
    return join(this.#base, "manifests", `${name}.json`);
  }

  async #ask(path: string): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return await response.json();
  }

  /** Pods go on without it. */
  async #stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || !isAlive(child)) return;
    const gone = once(child, "exit");
    child.kill();
    await gone;
  }
}

function isAlive(child: ChildProcess | undefined): boolean {
  return child !== undefined && child.exitCode === null && child.signalCode === null;
}

function fileOf(setting: string): string {
  return setting.replace("/", ".");
}
