/**
 * A port for a program that cannot choose one itself, or that comes back to the one it had.
 *
 * @module
 */
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { systemCodeOf } from "../../src/errors/index.ts";

/** Below those that Linux gives to whoever names none (`net.ipv4.ip_local_port_range`). */
const FIRST = 10_000;
const BEHIND_LAST = 32_768;

/**
 * A port of the loopback that nobody listens on at this moment. Servers that let the kernel choose, and connections, get
 * others: it stays free until somebody asks for it by its number.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, BEHIND_LAST);
    const server = createServer();
    try {
      await once(server.listen(port, "127.0.0.1"), "listening");
    } catch (error) {
      if (systemCodeOf(error) === "EADDRINUSE") continue;
      throw error;
    }
    server.close();
    await once(server, "close");
    return port;
  }
}
