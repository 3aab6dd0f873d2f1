// The same suite against containerd's own overlayfs snapshotter, through containerd's API: what esgz is compared with.
import {
  createClient,
  createUnixTransport,
  LEASE_KEY,
  NAMESPACE_KEY,
  Snapshots,
} from "../../src/grpc/index.ts";
import { startContainerd, whyNoContainerd } from "./private-containerd.ts";
import { describeSnapshotter } from "./snapshotter-conformance.ts";

describeSnapshotter("containerd's overlayfs", async (t) => {
  const reason = await whyNoContainerd();
  if (reason !== undefined) return { skip: reason };
  const { ctr, socket } = await startContainerd(t);
  // Or its garbage collector takes what nothing refers to.
  await ctr("leases", "create", "--id", "conformance");
  const metadata = { [NAMESPACE_KEY]: "default", [LEASE_KEY]: "conformance" };
  const unix = createUnixTransport({ path: socket, metadata });
  t.after(() => unix.close());
  // containerd removes directories when it collects garbage, as it does when a lease ends.
  const cleanup = (): Promise<string> => ctr("leases", "delete", "--sync", "conformance");
  return { client: createClient(Snapshots, unix.transport), snapshotter: "overlayfs", cleanup };
});
