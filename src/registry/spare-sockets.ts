/**
 * Connections that are made before a request needs them.
 *
 * The requests behind a manifest go out at once, and each needs a connection of its own: where those were made while the manifest
 * was on its way, none waits for one.
 *
 * @module
 */
import type { Socket } from "node:net";
import type { buildConnector } from "undici";

type Connector = buildConnector.connector;
type Target = buildConnector.Options;
type Callback = buildConnector.Callback;

/** A connection that is there or will be. */
interface Spare {
  readonly key: string;
  /** Once it is connected. */
  socket?: Socket;
  /** Who has taken it before it was. */
  taker?: Callback;
  readonly drop: () => void;
  readonly timer: NodeJS.Timeout;
}

/** What nobody has taken by then is closed. */
const KEPT_MS = 5000;

/** Makes connections, and keeps some for those who will ask. */
export class SpareSockets {
  readonly #connect: Connector;
  readonly #spares = new Set<Spare>();

  /** @param connect makes a connection */
  constructor(connect: Connector) {
    this.#connect = connect;
  }

  /** Begins to make connections, so that there are so many that nobody has taken. */
  prepare(url: URL, count: number): void {
    const { host, protocol, port } = url;
    const hostname = url.hostname.replace(/^\[(.*)\]$/, "$1");
    const key = keyOf({ protocol, host });
    for (let at = this.#sparesFor(key).length; at < count; at += 1)
      this.#add(key, { host, hostname, protocol, port });
  }

  /** Gives a connection that is there, or will be first; else makes one. */
  readonly connect: Connector = (target, callback) => {
    const spares = this.#sparesFor(keyOf(target));
    const spare =
      spares.find(({ socket }) => socket?.destroyed === false) ??
      spares.find(({ socket }) => socket === undefined);
    if (spare === undefined) {
      this.#connect(target, callback);
      return;
    }
    this.#forget(spare);
    const { socket } = spare;
    if (socket === undefined) spare.taker = callback;
    else handOver(spare, socket, callback);
  };

  /** Closes those that nobody has taken. */
  close(): void {
    for (const spare of this.#spares) spare.drop();
  }

  #add(key: string, target: Target): void {
    const drop = (): void => {
      this.#forget(spare);
      spare.socket?.destroy();
    };
    const spare: Spare = { key, drop, timer: setTimeout(drop, KEPT_MS).unref() };
    this.#spares.add(spare);
    this.#connect(target, (...made) => {
      const [error, socket] = made;
      if (spare.taker !== undefined) spare.taker(...made);
      else if (error !== null) this.#forget(spare);
      else if (this.#spares.has(spare)) keep(spare, socket);
      else socket.destroy();
    });
  }

  #sparesFor(key: string): readonly Spare[] {
    return [...this.#spares].filter((spare) => spare.key === key);
  }

  #forget(spare: Spare): void {
    clearTimeout(spare.timer);
    this.#spares.delete(spare);
  }
}

/** What comes before anything was asked is its end, or of no use. Waiting does not keep the process. */
function keep(spare: Spare, socket: Socket): void {
  spare.socket = socket.unref().on("readable", spare.drop).on("close", spare.drop);
}

function handOver({ drop }: Spare, socket: Socket, callback: Callback): void {
  socket.ref().off("readable", drop).off("close", drop);
  // Whoever asks does not expect an answer before the call returns.
  queueMicrotask(() => callback(null, socket));
}

/** TLS settings and proxy are the same for all; what is asked for by another name is another connection. */
function keyOf({ protocol, host, servername, localAddress }: Omit<Target, "hostname" | "port">): string {
  return [protocol, host, servername ?? "", localAddress ?? ""].join(" ");
}
