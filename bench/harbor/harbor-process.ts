/**
 * The process behind {@link startHarbor}: it serves until its parent closes it or goes away.
 *
 * @module
 */
import { isEsgzError } from "../../src/errors/index.ts";
import { type RequestInfo, startRegistryServer } from "../../src/registry-server/index.ts";
import { type Link, startLink } from "../link/index.ts";
import type { HarborAnswer, HarborRequest, HarborRequestRecord, HarborStatistics } from "./harbor.ts";

const [root = ""] = process.argv.slice(2);
let requests = 0;
let records: HarborRequestRecord[] = [];
const server = await startRegistryServer({ root, onRequest }).catch(async (error: unknown) => {
  if (!isEsgzError(error, "ALREADY_EXISTS")) throw error;
  await new Promise((resolve) => process.send?.({ kind: "taken" } satisfies HarborAnswer, resolve));
  process.exit(0);
});
const links: Link[] = [];
let before: HarborStatistics = { requests: 0, connections: 0, bytesDown: 0, bytesUp: 0 };

process.on("message", (message) => void answer(message as HarborRequest));
process.on("disconnect", () => void close());
send({ kind: "port", port: server.port });

function onRequest({ method, url, range }: RequestInfo): void {
  requests += 1;
  if (method === "GET") records.push(range === undefined ? { url } : { url, range });
}

async function answer(request: HarborRequest): Promise<void> {
  switch (request.kind) {
    case "link": {
      const link = await startLink(server.port, request.profile);
      links.push(link);
      send({ kind: "port", port: link.port });
      return;
    }
    case "shape":
      for (const link of links) link.setShaped(request.shaped);
      send({ kind: "done" });
      return;
    case "statistics":
      send({ kind: "statistics", statistics: takeStatistics() });
      return;
    case "requests":
      send({ kind: "requests", requests: records });
      records = [];
      return;
    case "close":
      await close();
  }
}

function takeStatistics(): HarborStatistics {
  const total = { requests, connections: 0, bytesDown: 0, bytesUp: 0 };
  for (const link of links) {
    const statistics = link.statistics();
    total.connections += statistics.connections;
    total.bytesDown += statistics.bytesDown;
    total.bytesUp += statistics.bytesUp;
  }
  const since = {
    requests: total.requests - before.requests,
    connections: total.connections - before.connections,
    bytesDown: total.bytesDown - before.bytesDown,
    bytesUp: total.bytesUp - before.bytesUp,
  };
  before = total;
  return since;
}

async function close(): Promise<void> {
  for (const link of links) await link[Symbol.asyncDispose]();
  await server.close();
  process.exit(0);
}

function send(message: HarborAnswer): void {
  process.send?.(message);
}
