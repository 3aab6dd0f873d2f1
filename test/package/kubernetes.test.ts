/**
 * What packaging/ has for containerd and Kubernetes fits together, and the image with esgz runs.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { parse as parseToml } from "smol-toml";
import { parseAllDocuments } from "yaml";
import { readKubeconfig } from "../../src/daemon/kubeconfig.ts";
import { readConfig } from "../../src/daemon/index.ts";
import { isInstalled } from "../snapshotter/private-containerd.ts";

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, "../..");
const PACKAGING = join(ROOT, "packaging");
const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

interface ConfigMap {
  readonly data: Readonly<Record<string, string>>;
}

interface Volume {
  readonly name: string;
  readonly hostPath?: { readonly path: string };
}

interface DaemonSet {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly {
          readonly args: readonly string[];
          readonly volumeMounts: readonly {
            readonly name: string;
            readonly mountPath: string;
            readonly mountPropagation?: string;
          }[];
        }[];
        readonly volumes: readonly Volume[];
      };
    };
  };
}

async function readObjects(): Promise<ReadonlyMap<string, unknown>> {
  const text = await readFile(join(PACKAGING, "kubernetes/esgz.yaml"), "utf8");
  const objects = parseAllDocuments(text).map(
    (document) => document.toJS() as { readonly kind: string; readonly metadata: object },
  );
  return new Map(objects.map((object) => [object.kind, object]));
}

test("the pod's configuration and kubeconfig are understood", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "esgz-kubernetes-"));
  t.after(() => rm(folder, { recursive: true }));
  const { data } = (await readObjects()).get("ConfigMap") as ConfigMap;
  await writeFile(join(folder, "config.toml"), data["config.toml"] ?? "");
  const read = await readConfig(join(folder, "config.toml"));
  assert.deepEqual(read?.warnings, []);
  assert.deepEqual(read.config.keychains.kubeconfig, { enabled: true, path: "/etc/esgz/kubeconfig" });

  await writeFile(join(folder, "token"), "a token");
  await writeFile(join(folder, "ca.crt"), "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n");
  const kubeconfig = (data["kubeconfig"] ?? "").replaceAll(ACCOUNT, folder);
  await writeFile(join(folder, "kubeconfig"), kubeconfig);
  const access = await readKubeconfig(join(folder, "kubeconfig"));
  assert.equal(new URL(access.server).host, "kubernetes.default.svc");
});

test("the pod mounts where the node sees it, and listens where containerd looks", async () => {
  const { spec } = ((await readObjects()).get("DaemonSet") as DaemonSet).spec.template;
  const [container] = spec.containers;
  assert.ok(container !== undefined);
  const argument = (flag: string): string => container.args[container.args.indexOf(flag) + 1] ?? "";
  const store = container.volumeMounts.find(({ mountPath }) => mountPath === argument("--store"));
  assert.equal(store?.mountPropagation, "Bidirectional");
  assert.equal(spec.volumes.find(({ name }) => name === store.name)?.hostPath?.path, argument("--store"));
  for (const name of ["containerd-1", "containerd-2", "containerd-2-runtime-class"]) {
    const text = await readFile(join(PACKAGING, `containerd/${name}.toml`), "utf8");
    const { proxy_plugins: plugins } = parseToml(text) as {
      readonly proxy_plugins: {
        readonly stargz: { readonly address: string; readonly exports: { readonly root: string } };
      };
    };
    assert.equal(plugins.stargz.address, argument("--address"), name);
    assert.equal(plugins.stargz.exports.root, argument("--store"), name);
  }
});

test("containerd understands its configuration as it is meant", async (t) => {
  if (!(await isInstalled("containerd"))) return t.skip("containerd is not installed");
  const { stdout } = await run("containerd", [
    "--config",
    join(PACKAGING, "containerd/containerd-1.toml"),
    "config",
    "dump",
  ]);
  assert.match(stdout, /snapshotter = "stargz"/);
  assert.match(stdout, /disable_snapshot_annotations = false/);
});

// It installs from the npm registry, and takes minutes: only where it is asked for.
const imageTest = process.env["ESGZ_BUILD_IMAGE"] === undefined ? undefined : test;
void imageTest?.("the image with esgz is made by esgz, and runs", async (t) => {
  for (const tool of ["umoci", "busybox", "runc"])
    if (!(await isInstalled(tool))) return t.skip(`${tool} is not installed`);
  const folder = await mkdtemp(join(tmpdir(), "esgz-image-"));
  const esgz = async (...args: readonly string[]): Promise<string> =>
    (await run(process.execPath, [join(ROOT, "bin/esgz.js"), ...args, "--store", join(folder, "store")]))
      .stdout;
  t.after(async () => {
    await esgz("daemon", "--stop", "--force");
    await rm(folder, { recursive: true });
  });
  const name = `oci:${join(folder, "layout")}:esgz`;
  await run(join(PACKAGING, "image/build.sh"), [name]);
  const store = ["--store", join(folder, "store")];
  const program = [join(ROOT, "bin/esgz.js"), "run", ...store, "--rm", name];
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as { version: string };
  assert.equal((await run(process.execPath, [...program, "--version"])).stdout, `${version}\n`);
  const doctor = await run(process.execPath, [...program, "doctor"]).catch((error: unknown) => error);
  assert.match((doctor as { readonly stdout: string }).stdout, /libdeflate/);
});
