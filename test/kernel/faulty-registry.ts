/**
 * For tests: an image in a registry whose answers can be made wrong, whose tokens and redirects expire.
 */
import { randomBytes } from "node:crypto";
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { gzipSync, inflateRawSync } from "node:zlib";
import { estargzOf, type LayerBlob, serveImage, sha256 } from "../../src/lazyfs/image.fixture.ts";
import type { Digest } from "../../src/oci/index.ts";
import { tarOf } from "../../src/tar/make-tar.fixture.ts";

/** What somebody asked for. */
export interface Asked {
  /** Of a blob or manifest, as the path names it. */
  readonly name: string;
  readonly kind: "blob" | "manifest";
  /** The first and last byte, if it was a range. */
  readonly range?: readonly [first: number, last: number];
}

/** What is done to an answer. */
export type Fault =
  /** Changes these bytes of the blob or manifest, where they are in the answer. */
  | { readonly kind: "flip"; readonly at: readonly number[] }
  /** Ends the body, and the connection, after so many bytes. */
  | { readonly kind: "cut"; readonly after: number }
  /** Sends the bytes of another range, under the name of the one that was asked for. */
  | { readonly kind: "shift"; readonly by: number }
  /** Says truly that it sends another range. */
  | { readonly kind: "other-range"; readonly by: number }
  /** Sends members of the same size in place of those in the range, valid ones, of zeros. */
  | { readonly kind: "other-members" }
  | { readonly kind: "status"; readonly status: number };

/** How a client gets at blobs. */
export interface Gate {
  /** Wants a token, which is good for as long as it is this one. */
  token?: string | undefined;
  /** Sends clients for blobs to another place, which is good for as long as its name is this one. */
  place?: string | undefined;
  tokensGiven: number;
  redirects: number;
  /** Answers of 401 and 403 to ranges. */
  refused: number;
}

/** An image whose registry does as it is told. */
export interface FaultyImage {
  /** Its name, by way of what makes answers wrong. */
  readonly name: string;
  /** By file name. */
  readonly contents: ReadonlyMap<string, Buffer>;
  /** Lowest first. */
  readonly layers: readonly { readonly digest: Digest; readonly blob: Uint8Array }[];
  readonly manifest: Digest;
  readonly asked: Asked[];
  readonly gate: Gate;
  faultOf: (asked: Asked) => Fault | undefined;
}

/** Serves an image with files of known contents, the same number in each layer, until the test ends. */
export async function serveFaultyImage(
  t: TestContext,
  options: {
    readonly files?: number;
    readonly size?: number;
    /** Contents by name, in place of random ones, for one layer each. */
    readonly layers?: readonly ReadonlyMap<string, Buffer>[];
  } = {},
): Promise<FaultyImage> {
  const parts = options.layers ?? randomLayers(options.files ?? 4, options.size ?? 200_000);
  const blobs = await Promise.all(parts.map(layerOf));
  const image = await serveImage(t, blobs);
  const gate: Gate = { tokensGiven: 0, redirects: 0, refused: 0 };
  const proxy = createServer((request, response) => {
    void answer(request, { response, image: served, port: image.server.port }).catch(() =>
      response.destroy(),
    );
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  const served: FaultyImage = {
    name: `127.0.0.1:${(proxy.address() as AddressInfo).port}/test/image:latest`,
    contents: new Map(parts.flatMap((part) => [...part])),
    layers: blobs.map(({ blob }) => ({ digest: sha256(blob), blob })),
    manifest: image.manifest,
    asked: [],
    gate,
    faultOf: () => undefined,
  };
  return served;
}

function randomLayers(files: number, size: number): readonly ReadonlyMap<string, Buffer>[] {
  const contents = Array.from({ length: files }, (_, at) => [`file${at}`, randomBytes(size)] as const);
  const half = Math.ceil(files / 2);
  return [new Map(contents.slice(0, half)), new Map(contents.slice(half))];
}

async function layerOf(files: ReadonlyMap<string, Buffer>): Promise<LayerBlob> {
  const entries = [...files].map(([name, content]) => ({ name, content }));
  return await estargzOf(tarOf(entries), { chunkSize: 64 << 10 });
}

interface Answering {
  readonly response: ServerResponse;
  readonly image: FaultyImage;
  readonly port: number;
}

async function answer(request: IncomingMessage, context: Answering): Promise<void> {
  const { response, image } = context;
  const url = request.url ?? "/";
  if (url.startsWith("/token")) {
    image.gate.tokensGiven += 1;
    response.end(JSON.stringify({ token: image.gate.token, expires_in: 3600 }));
    return;
  }
  const placed = /^\/place\/([^/]+)(\/.*)$/.exec(url);
  const asked = askedOf(placed?.[2] ?? url, request);
  if (asked !== undefined) image.asked.push(asked);
  if (!mayPass(request, context, { asked, place: placed?.[1] })) return;
  const found = await fetchFrom(context.port, { request, path: placed?.[2] ?? url });
  send(response, found, { asked, fault: asked === undefined ? undefined : image.faultOf(asked) });
}

function askedOf(path: string, { headers, method }: IncomingMessage): Asked | undefined {
  const match = /\/(blobs|manifests)\/([^/?]+)/.exec(path);
  if (match === null || method !== "GET") return undefined;
  const kind = match[1] === "blobs" ? "blob" : "manifest";
  const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "");
  const asked = { name: match[2] ?? "", kind } as const;
  return range === null ? asked : { ...asked, range: [Number(range[1]), Number(range[2])] };
}

/** Whether the gate lets a request pass; answers it if not. */
function mayPass(
  { headers, url }: IncomingMessage,
  { response, image }: Answering,
  { asked, place }: { readonly asked: Asked | undefined; readonly place: string | undefined },
): boolean {
  const { gate } = image;
  const host = headers.host ?? "";
  if (place !== undefined) {
    if (place === gate.place) return true;
    gate.refused += 1;
    response.writeHead(403).end();
    return false;
  }
  if (gate.token !== undefined && headers.authorization !== `Bearer ${gate.token}`) {
    if (asked?.range !== undefined) gate.refused += 1;
    const challenge = `Bearer realm="http://${host}/token",service="test",scope="repository:test/image:pull"`;
    response.writeHead(401, { "www-authenticate": challenge }).end();
    return false;
  }
  if (gate.place === undefined || asked?.kind !== "blob") return true;
  gate.redirects += 1;
  response.writeHead(307, { location: `http://${host}/place/${gate.place}${url ?? ""}` }).end();
  return false;
}

interface Found {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

async function fetchFrom(
  port: number,
  { request, path }: { readonly request: IncomingMessage; readonly path: string },
): Promise<Found> {
  const { authorization: _, ...headers } = request.headers;
  const message = await new Promise<IncomingMessage>((resolve, reject) => {
    const options = { host: "127.0.0.1", port, path, method: request.method, headers, agent: false };
    httpRequest(options, resolve).on("error", reject).end();
  });
  const body = Buffer.concat((await message.toArray()) as Buffer[]);
  return { status: message.statusCode ?? 500, headers: message.headers, body };
}

const HEADER_SIZE = 10;
const TRAILER_SIZE = 8;
const COMMENT_FLAG = 1 << 4;

/** Members as long as those in a range, whose content is zeros: a comment makes up for what they take less. */
function otherMembers(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length;) {
    // With `info`, Node tells how much of its input it took.
    const { buffer, engine } = inflateRawSync(body.subarray(at + HEADER_SIZE), {
      info: true,
    }) as unknown as {
      readonly buffer: Buffer;
      readonly engine: { readonly bytesWritten: number };
    };
    const size = HEADER_SIZE + engine.bytesWritten + TRAILER_SIZE;
    const plain = gzipSync(Buffer.alloc(buffer.length));
    plain[3] = COMMENT_FLAG;
    const comment = Buffer.alloc(size - plain.length, "x");
    comment[comment.length - 1] = 0;
    parts.push(plain.subarray(0, HEADER_SIZE), comment, plain.subarray(HEADER_SIZE));
    at += size;
  }
  return Buffer.concat(parts);
}

function send(
  response: ServerResponse,
  { status, headers, body }: Found,
  { asked, fault }: { readonly asked: Asked | undefined; readonly fault: Fault | undefined },
): void {
  const { connection: _, "keep-alive": __, ...kept } = headers;
  const first = asked?.range?.[0] ?? 0;
  switch (fault?.kind) {
    case undefined:
      response.writeHead(status, kept).end(body);
      break;
    case "status":
      response.writeHead(fault.status).end();
      break;
    case "flip":
      for (const at of fault.at) {
        const byte = body[at - first];
        if (byte !== undefined) body[at - first] = byte ^ 0x41;
      }
      response.writeHead(status, kept).end(body);
      break;
    case "cut":
      response.writeHead(status, kept);
      response.write(body.subarray(0, fault.after), () => response.destroy());
      break;
    case "shift":
      response
        .writeHead(status, kept)
        .end(Buffer.concat([body.subarray(fault.by), body.subarray(0, fault.by)]));
      break;
    case "other-members":
      response.writeHead(status, kept).end(otherMembers(body));
      break;
    case "other-range": {
      const range = (kept["content-range"] ?? "").replace(/\d+-\d+/, (text) =>
        text
          .split("-")
          .map((end) => Number(end) + fault.by)
          .join("-"),
      );
      response.writeHead(status, { ...kept, "content-range": range }).end(body);
      break;
    }
  }
}
