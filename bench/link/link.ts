/**
 * A link shaper: a TCP proxy on loopback that adds latency and bounds bandwidth.
 *
 * Every piece that arrives gets a time of departure from the pacers it must pass (its connection's, then the shared
 * one), and is delivered half a round trip after that. A connection reads no more while a bandwidth-delay product of
 * bytes is under way, so back pressure reaches the sender as it does on a real link. Slow start and loss are not
 * modelled.
 *
 * @module
 */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import type { LinkProfile } from "./link-profile.ts";

/** What has passed a link so far. */
export interface LinkStatistics {
  readonly connections: number;
  /** Towards the client. */
  readonly bytesDown: number;
  /** Towards the registry. */
  readonly bytesUp: number;
}

/** A running link. */
export interface Link extends AsyncDisposable {
  /** The port on 127.0.0.1 that clients connect to. */
  readonly port: number;
  /** What has passed since the start. */
  statistics(): LinkStatistics;
  /** Whether what arrives from now on is delayed and bounded; at first, it is. The order of bytes stays. */
  setShaped(shaped: boolean): void;
}

/** Starts a link to a port on 127.0.0.1. */
export async function startLink(targetPort: number, profile: LinkProfile): Promise<Link> {
  const counts = { connections: 0, bytesDown: 0, bytesUp: 0 };
  const sockets = new Set<Socket>();
  let shaped = true;
  const isShaped = (): boolean => shaped;
  const down = new Pacer(profile.bitsPerSecond);
  const up = new Pacer(profile.bitsPerSecond);
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    counts.connections += 1;
    const bound = connectionBound(profile, counts.connections);
    const upstream = connect({ port: targetPort, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
    }
    const oneWayMs = profile.rttMs / 2;
    // The handshake of a real connection would have taken a round trip before the first byte.
    const handshakeMs = profile.rttMs;
    const pacersUp = [new Pacer(bound), up];
    const pacersDown = [new Pacer(bound), down];
    forward(client, upstream, {
      pacers: pacersUp,
      oneWayMs,
      handshakeMs,
      isShaped,
      count: (size) => (counts.bytesUp += size),
    });
    forward(upstream, client, {
      pacers: pacersDown,
      oneWayMs,
      handshakeMs: 0,
      isShaped,
      count: (size) => (counts.bytesDown += size),
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  return {
    port: (server.address() as AddressInfo).port,
    statistics: () => ({ ...counts }),
    setShaped: (value) => {
      shaped = value;
    },
    [Symbol.asyncDispose]: close,
  };
}

function connectionBound(profile: LinkProfile, ordinal: number): number | undefined {
  const { slow } = profile;
  return slow !== undefined && ordinal % slow.every === 0
    ? slow.bitsPerSecond
    : profile.bitsPerSecondPerConnection;
}

/** Gives bytes their times of departure, one after another at a rate. */
class Pacer {
  readonly #bytesPerMs: number;
  #freeAtMs = 0;

  constructor(bitsPerSecond: number | undefined) {
    this.#bytesPerMs = bitsPerSecond === undefined ? Infinity : bitsPerSecond / 8000;
  }

  departure(size: number, readyMs: number): number {
    this.#freeAtMs = Math.max(this.#freeAtMs, readyMs) + size / this.#bytesPerMs;
    return this.#freeAtMs;
  }
}

const MAX_UNDER_WAY_BYTES = 4 << 20;

interface Direction {
  readonly pacers: readonly Pacer[];
  readonly oneWayMs: number;
  readonly handshakeMs: number;
  readonly isShaped: () => boolean;
  readonly count: (size: number) => void;
}

function forward(
  from: Socket,
  to: Socket,
  { pacers, oneWayMs, handshakeMs, isShaped, count }: Direction,
): void {
  const queue: { readonly atMs: number; readonly bytes: Uint8Array | undefined }[] = [];
  let underWay = 0;
  let timer: NodeJS.Timeout | undefined;
  let blocked = false;
  const openedMs = performance.now() + handshakeMs;
  const arrivalMs = (size: number): number => {
    const readyMs = Math.max(performance.now(), openedMs);
    return pacers.reduce((atMs, pacer) => pacer.departure(size, atMs), readyMs) + oneWayMs;
  };
  const schedule = (bytes: Uint8Array | undefined): void => {
    queue.push({ atMs: isShaped() ? arrivalMs(bytes?.length ?? 0) : 0, bytes });
    underWay += bytes?.length ?? 0;
    if (underWay > MAX_UNDER_WAY_BYTES) from.pause();
    if (timer === undefined) deliver();
  };
  const deliver = (): void => {
    timer = undefined;
    while (!blocked) {
      const next = queue[0];
      if (next === undefined) break;
      const waitMs = next.atMs - performance.now();
      if (waitMs > 0.2) {
        timer = setTimeout(deliver, waitMs);
        break;
      }
      queue.shift();
      if (next.bytes === undefined) {
        to.end();
        break;
      }
      underWay -= next.bytes.length;
      count(next.bytes.length);
      blocked = !to.write(next.bytes);
      if (blocked) to.once("drain", onDrain);
    }
    if (underWay <= MAX_UNDER_WAY_BYTES / 2) from.resume();
  };
  const onDrain = (): void => {
    blocked = false;
    deliver();
  };
  from.on("data", (bytes: Buffer) => schedule(bytes));
  from.on("end", () => schedule(undefined));
  from.on("error", () => to.destroy());
  to.on("close", () => {
    if (timer !== undefined) clearTimeout(timer);
    from.destroy();
  });
}
