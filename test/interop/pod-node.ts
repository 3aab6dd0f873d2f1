/**
 * For tests: a node for pods, containerd's CRI plugin with esgz as its snapshotter. `ESGZ_CONTAINERD` names a directory with another
 * containerd, ctr and shim than those of the machine.
 */
import { join } from "node:path";
import type { TestContext } from "node:test";
import { LazyNode } from "./lazy-node.ts";

const CRI = 'plugins."io.containerd.grpc.v1.cri"';

/** How pods' images come. */
export interface PodNodeOptions {
  /** The image of sandboxes. */
  readonly pause: string;
  /** By the transfer service, as containerd 2.1 and later do unless they are told not to. */
  readonly transfer: boolean;
}

/** Starts one; the socket of its snapshotter is an image service as well, which learns credentials. It ends with the test. */
export async function startPodNode(t: TestContext, options: PodNodeOptions): Promise<LazyNode> {
  const containerd = process.env["ESGZ_CONTAINERD"];
  return await LazyNode.start(t, {
    config: (base) => `no_background_fetch = true
[cri_keychain]
enable_keychain = true
image_service_path = "${join(base, "containerd.sock")}"
`,
    cri: criConfiguration(options),
    ...(containerd === undefined ? {} : { containerd }),
  });
}

/** containerd's configuration, for 1.6 and later; 2.x translates it. */
function criConfiguration({ pause, transfer }: PodNodeOptions): string {
  const labels = transfer ? "" : "disable_snapshot_annotations = false";
  const unpack = `[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux"
  snapshotter = "stargz"
`;
  return `
[${CRI}]
  sandbox_image = "${pause}"
  stats_collect_period = 1
  # Where this process may not lower it, nobody may.
  restrict_oom_score_adj = true
  [${CRI}.containerd]
    snapshotter = "stargz"
    ${labels}
    [${CRI}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
${transfer ? unpack : ""}`;
}
