/**
 * Bodies of requests, checked.
 *
 * @module
 */
import * as v from "valibot";
import { EsgzError } from "../errors/index.ts";
import type { AnnounceRequest, MountRequest, PruneRequest, PullRequest } from "./control-protocol.ts";

const AbsolutePath = v.pipe(v.string(), v.startsWith("/"));
const ProcessId = v.pipe(v.number(), v.integer(), v.minValue(1));
const Image = {
  reference: v.pipe(v.string(), v.minLength(1), v.maxLength(4096)),
  platform: v.optional(v.string()),
  registry: v.optional(
    v.object({
      authfile: v.optional(AbsolutePath),
      plainHttp: v.optional(v.array(v.string())),
      tls: v.optional(v.array(v.string())),
      tlsVerify: v.optional(v.boolean()),
      certDir: v.optional(AbsolutePath),
      mirror: v.optional(v.array(v.string())),
    }),
  ),
  resolve: v.optional(v.picklist(["always", "missing"])),
};
const Pull = v.object({ ...Image, lazy: v.optional(v.boolean()), prefetch: v.optional(v.boolean()) });
const Words = v.optional(v.pipe(v.array(v.string()), v.maxLength(65_536)));
const Start = v.object({ command: Words, entrypoint: Words, workdir: v.optional(v.string()) });
const Mount = v.object({
  ...Image,
  id: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/))),
  directory: v.optional(AbsolutePath),
  writable: v.optional(v.boolean()),
  layered: v.optional(v.boolean()),
  view: v.optional(v.picklist(["auto", "erofs-file", "erofs-loop", "tree"])),
  prefetch: v.optional(v.boolean()),
  background: v.optional(v.boolean()),
  discard: v.optional(v.boolean()),
  ownerPid: v.optional(ProcessId),
  start: v.optional(Start),
});
const Announce = v.object({ ...Image, ownerPid: ProcessId });
const Prune = v.optional(v.object({ all: v.optional(v.boolean()) }), {});
const LayerStore = v.object({ directory: AbsolutePath });
const Stop = v.optional(v.object({ force: v.optional(v.boolean()) }), {});

/** @throws {EsgzError} `REQUEST_INVALID` */
export function parseAnnounceRequest(body: unknown): AnnounceRequest {
  return parsed(Announce as v.GenericSchema<unknown, AnnounceRequest>, body);
}

/** @throws {EsgzError} `REQUEST_INVALID` */
export function parsePullRequest(body: unknown): PullRequest {
  return parsed(Pull as v.GenericSchema<unknown, PullRequest>, body);
}

/** @throws {EsgzError} `REQUEST_INVALID` */
export function parseMountRequest(body: unknown): MountRequest {
  return parsed(Mount as v.GenericSchema<unknown, MountRequest>, body);
}

/** @throws {EsgzError} `REQUEST_INVALID` */
export function parsePruneRequest(body: unknown): PruneRequest {
  return parsed(Prune as v.GenericSchema<unknown, PruneRequest>, body);
}

/** @throws {EsgzError} `REQUEST_INVALID` */
export function parseStopRequest(body: unknown): { readonly force?: boolean } {
  return parsed(Stop as v.GenericSchema<unknown, { readonly force?: boolean }>, body);
}

/** @throws {EsgzError} `REQUEST_INVALID` */
export function parseLayerStoreRequest(body: unknown): { readonly directory: string } {
  return parsed(LayerStore as v.GenericSchema<unknown, { readonly directory: string }>, body);
}

function parsed<T>(schema: v.GenericSchema<unknown, T>, body: unknown): T {
  const result = v.safeParse(schema, body);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const place = issue.path?.map(({ key }) => String(key)).join(".") ?? "body";
  throw new EsgzError(
    "REQUEST_INVALID",
    `Cannot read request: expected ${issue.expected} for "${place}", got ${issue.received}`,
  );
}
