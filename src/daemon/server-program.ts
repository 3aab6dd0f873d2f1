/**
 * The server as a program: its holder starts it and tells it the rest.
 *
 * @module
 */
import { failureOf } from "./control-failure.ts";
import { HolderChannel } from "./holder-channel.ts";

// A terminal signals holder and server alike; the holder decides.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
process.title = "esgz-server";
const channel = new HolderChannel();
try {
  const { runServer } = await import("./run-server.ts");
  await runServer(channel);
  process.exit(0);
} catch (error) {
  await channel.flush({ kind: "failed", error: failureOf(error) });
  process.exit(1);
}
