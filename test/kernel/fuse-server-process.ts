/**
 * A server as a process of its own, which inherits the device as descriptor 3: `node fuse-server-process.ts OPTIONS`, with
 * what was negotiated and the options of the sample filesystem as JSON. Says "ready", and "holding" when a read is held.
 */
import { MessageChannel } from "node:worker_threads";
import { serveFuse, type Negotiated } from "../../src/fuse/index.ts";

const options = JSON.parse(process.argv[2] ?? "{}") as {
  readonly negotiated: Negotiated;
  readonly sample: object;
};
const { port1, port2 } = new MessageChannel();
port1.on("message", (text: string) => void process.stdout.write(`${text}\n`));
const server = await serveFuse(3, {
  filesystem: new URL("held-filesystem.ts", import.meta.url),
  data: { ...options.sample, port: port2 },
  transfer: [port2],
  negotiated: options.negotiated,
});
process.stdout.write("ready\n");
await server.closed;
port1.close();
