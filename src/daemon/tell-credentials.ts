/**
 * The other side of `told-credentials.ts`: tells a daemon.
 *
 * @module
 */
import { EsgzError, messageOf } from "../errors/index.ts";

/**
 * Tells a layer store what an engine wrote.
 *
 * @throws {EsgzError} `DAEMON_UNAVAILABLE` if nobody answers at the socket, or not well
 */
export async function tellCredentials(
  data: Uint8Array,
  options: { readonly socket: string; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const { signal, socket } = options;
  // Few who talk to a daemon need the protocol, which takes a while to load.
  const { Controller, createClient, createUnixTransport } = await import("../grpc/index.ts");
  using unix = createUnixTransport({ path: socket });
  try {
    await createClient(Controller, unix.transport).addCredential(
      { data },
      signal === undefined ? {} : { signal },
    );
  } catch (cause) {
    const text = `Cannot tell credentials to "${socket}": ${messageOf(cause)}`;
    throw new EsgzError("DAEMON_UNAVAILABLE", text, { cause });
  }
}
