/**
 * The agreement with the kernel about versions, features and limits.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { ERRNO } from "./errno.ts";
import type { InitFlag } from "./init-flags.ts";
import { initReplyCodec, initRequestCodec, type InitReply, type InitRequest } from "./init-message.ts";
import { decodeBody, encodeBody } from "./message-codec.ts";
import { decodeRequest, encodeReplyHeader } from "./message-header.ts";
import { OPERATIONS } from "./operations.ts";
import { concatBytes } from "../bytes/index.ts";

/** What a server wants; a feature that the kernel does not have is left out. */
export interface FuseFeatures {
  /** The largest READ in bytes, up to 1 MiB. Default: 1 MiB. */
  readonly maxRead?: number;
  /** Read-ahead in bytes; the kernel's own limit (`read_ahead_kb`) holds as well. Default: what the kernel offers. */
  readonly maxReadahead?: number;
  /** Requests of read-ahead under way at the same time. Default: 64. */
  readonly maxBackground?: number;
  /** Directories are listed with lookups: "auto" where the kernel expects to need them. Default: "never". */
  readonly readdirplus?: "never" | "auto" | "always";
  /** Targets of symbolic links are cached. Default: true. */
  readonly cacheSymlinks?: boolean;
  /** Content stays cached until `invalidateInode()`, even if size or times change. Default: true. */
  readonly explicitInvalidation?: boolean;
  /** The kernel reads from backing files by itself: needs Linux 6.9 and CAP_SYS_ADMIN. Default: false. */
  readonly passthrough?: boolean;
  /** Files opened with `directIo` may be mapped shared. Default: false. */
  readonly directIoMmap?: boolean;
}

/** What was agreed. Plain data: a holder passes it on to servers that take over. */
export interface Negotiated {
  readonly minor: number;
  readonly flags: readonly InitFlag[];
  /** In bytes. */
  readonly maxRead: number;
  /** In bytes: what a reader of the device needs room for, beside the headers. */
  readonly maxWrite: number;
}

/** The protocol version spoken here; with older kernels theirs. */
export const PROTOCOL_VERSION: { readonly major: number; readonly minor: number } = { major: 7, minor: 45 };

/** Kernels before this minor version (Linux 5.2) are refused. */
export const OLDEST_MINOR = 31;

const PAGE_SIZE = 4096;
const LARGEST_READ = 1024 * 1024;
const MAX_WRITE = 64 * 1024;
const MAX_BACKGROUND = 64;

const ALWAYS_WANTED: readonly InitFlag[] = [
  "asyncRead",
  "asyncDirectIo",
  "abortError",
  "bigWrites",
  "hasResend",
  "initExt",
  "maxPages",
  "noOpenSupport",
  "noOpendirSupport",
  "parallelDirops",
];

/**
 * Answers an INIT request.
 *
 * `reply` is to be sent in any case. `negotiated` is undefined if the kernel speaks another major version: it will ask
 * again with this one.
 *
 * @throws {EsgzError} `FUSE_INVALID` if the message is no INIT, `NOT_SUPPORTED` if the kernel is too old; details say its version.
 */
export function negotiateInit(
  message: Uint8Array,
  features: FuseFeatures = {},
): { readonly reply: Uint8Array; readonly negotiated: Negotiated | undefined } {
  const { header, body } = decodeRequest(message);
  if (header.opcode !== OPERATIONS.INIT.opcode) {
    throw new EsgzError(
      "FUSE_INVALID",
      `Cannot begin FUSE session: expected INIT, got opcode ${header.opcode}`,
    );
  }
  const request = decodeBody(initRequestCodec, body, "INIT");
  checkVersion(request);
  const reply = createInitReply(request, features);
  const bytes = encodeBody(initReplyCodec, reply);
  return {
    reply: concatBytes([encodeReplyHeader(header.unique, { bodySize: bytes.length }), bytes]),
    negotiated: request.major > PROTOCOL_VERSION.major ? undefined : negotiatedFrom(reply),
  };
}

/** The reply to an INIT that {@linkcode negotiateInit} refused. */
export function refuseInit(message: Uint8Array): Uint8Array {
  return encodeReplyHeader(decodeRequest(message).header.unique, { errno: ERRNO.EPROTO });
}

function createInitReply(request: InitRequest, features: FuseFeatures): InitReply {
  const wanted = [...ALWAYS_WANTED, ...wantedFlags(features)];
  const flags = new Set(wanted.filter((flag) => request.flags.has(flag)));
  const maxBackground = features.maxBackground ?? MAX_BACKGROUND;
  const maxRead = Math.min(features.maxRead ?? LARGEST_READ, LARGEST_READ);
  return {
    major: PROTOCOL_VERSION.major,
    minor: Math.min(request.minor, PROTOCOL_VERSION.minor),
    maxReadahead: Math.min(request.maxReadahead, features.maxReadahead ?? request.maxReadahead),
    flags,
    maxBackground,
    congestionThreshold: Math.ceil((maxBackground * 3) / 4),
    maxWrite: MAX_WRITE,
    timeGranularity: 1,
    maxPages: Math.max(1, Math.ceil(maxRead / PAGE_SIZE)),
    maxStackDepth: flags.has("passthrough") ? 1 : 0,
    requestTimeoutSeconds: 0,
  };
}

function wantedFlags(features: FuseFeatures): InitFlag[] {
  const flags: InitFlag[] = [];
  if ((features.readdirplus ?? "never") !== "never") flags.push("doReaddirplus");
  if (features.readdirplus === "auto") flags.push("readdirplusAuto");
  if (features.cacheSymlinks !== false) flags.push("cacheSymlinks");
  flags.push(features.explicitInvalidation === false ? "autoInvalidateData" : "explicitInvalidateData");
  if (features.passthrough === true) flags.push("passthrough");
  if (features.directIoMmap === true) flags.push("directIoAllowMmap");
  return flags;
}

function negotiatedFrom(reply: InitReply): Negotiated {
  return {
    minor: reply.minor,
    flags: [...reply.flags],
    maxRead: reply.maxPages * PAGE_SIZE,
    maxWrite: reply.maxWrite,
  };
}

function checkVersion({ major, minor }: InitRequest): void {
  const { major: ours } = PROTOCOL_VERSION;
  if (major > ours || (major === ours && minor >= OLDEST_MINOR)) return;
  throw new EsgzError(
    "NOT_SUPPORTED",
    `Cannot begin FUSE session: expected protocol ${ours}.${OLDEST_MINOR} or newer, got ${major}.${minor}`,
    { details: { major, minor } },
  );
}
