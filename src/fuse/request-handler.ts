/**
 * Takes requests of the kernel and gives replies, without a device: bytes in, bytes out.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { ANSWERERS, type Answerer } from "./answer-operation.ts";
import { ERRNO, errnoOf, isChosenErrno } from "./errno.ts";
import { DEFERRED, type Filesystem, type RequestContext } from "./filesystem.ts";
import { isPromise } from "./is-promise.ts";
import { decodeBody, rawBody } from "./message-codec.ts";
import {
  decodeRequest,
  encodeReplyHeader,
  REPLY_HEADER_SIZE,
  UNIQUE_RESENT,
  writeReplyHeader,
  type RawRequest,
  type RequestHeader,
} from "./message-header.ts";
import { MessageWriter } from "./message-writer.ts";
import type { Negotiated } from "./negotiate-init.ts";
import { interruptCodec } from "./node-messages.ts";
import { operationName, OPERATIONS, type Operation, type OperationName } from "./operations.ts";

/** What a handler needs around it. */
export interface RequestHandlerOptions {
  readonly negotiated: Negotiated;
  /** Sends one reply, in one or two parts; they may be used again as soon as it returns. */
  readonly send: (parts: readonly Uint8Array[]) => void;
  /** Hands a request on to whoever answers what is deferred. The message is used again when it returns. */
  readonly defer?: ((message: Uint8Array) => void) | undefined;
  /** Told of failures that were answered with an error the filesystem did not choose. */
  readonly onError?: ((error: unknown, request: string) => void) | undefined;
}

interface AnyAnswer {
  readonly answer: Answerer<OperationName>;
  readonly operation: Operation<never, never>;
}

/** The state of one connection on one thread: what is being answered. */
export class RequestHandler {
  readonly #filesystem: Filesystem;
  readonly #options: RequestHandlerOptions;
  readonly #pending = new Map<bigint, PendingRequest>();
  readonly #waiting: (() => void)[] = [];
  readonly #writer = new MessageWriter();
  /** A reply's header and content in one piece, so that content put there is sent without a copy. */
  #content = new Uint8Array(REPLY_HEADER_SIZE);

  constructor(filesystem: Filesystem, options: RequestHandlerOptions) {
    this.#filesystem = filesystem;
    this.#options = options;
  }

  /** How many requests wait for a promise. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Resolves when one more of the pending requests is answered, or at once if there are none. */
  settled(): Promise<void> {
    if (this.#pending.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Handles one request: replies before it returns, or later. Never throws for what the request says. */
  handle(message: Uint8Array): void {
    let request: RawRequest;
    try {
      request = decodeRequest(message);
    } catch (error) {
      // Without a header there is nobody to answer.
      this.#options.onError?.(error, "request");
      return;
    }
    const name = operationName(request.header.opcode);
    if (name === "INTERRUPT") this.#interrupt(request, message);
    else if (name === undefined) this.#fail(request.header, ERRNO.ENOSYS);
    else this.#answer(name, { request, message });
  }

  #answer(
    name: OperationName,
    { request, message }: { readonly request: RawRequest; readonly message: Uint8Array },
  ): void {
    const { answer, operation } = rowOf(name);
    const context = new PendingRequest(request.header);
    const reply = (value: unknown): void => {
      if (operation.silent !== true) this.#succeed(request.header, { operation, value });
    };
    const fail = (error: unknown): void => this.#explain(error, { context, name, silent: operation.silent });
    try {
      const body = decodeBody(operation.request, request.body, name);
      const roomFor = (size: number): Uint8Array => this.#roomFor(size);
      const value = answer({ filesystem: this.#filesystem, node: context.node, context, roomFor }, body);
      if (value === DEFERRED) this.#defer(message);
      else if (isPromise<unknown>(value)) this.#await(value, { context, reply, fail });
      else reply(value);
    } catch (error) {
      fail(error);
    }
  }

  #await(
    promise: Promise<unknown>,
    then: {
      readonly context: PendingRequest;
      readonly reply: (value: unknown) => void;
      readonly fail: (error: unknown) => void;
    },
  ): void {
    const { unique } = then.context;
    this.#pending.set(unique, then.context);
    promise
      .then(then.reply)
      .catch(then.fail)
      .finally(() => this.#settle(unique))
      // Only `send` can fail here, which its owner knows about already.
      .catch(() => undefined);
  }

  #settle(unique: bigint): void {
    this.#pending.delete(unique);
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #interrupt(request: RawRequest, message: Uint8Array): void {
    try {
      const { unique } = decodeBody(interruptCodec, request.body, "INTERRUPT");
      const pending = this.#pending.get(unique);
      if (pending !== undefined) pending.interrupt();
      // Unknown: answered already, or somebody else's.
      else this.#options.defer?.(message);
    } catch (error) {
      this.#options.onError?.(error, "INTERRUPT");
    }
  }

  #defer(message: Uint8Array): void {
    const { defer } = this.#options;
    if (defer === undefined) {
      throw new EsgzError("INTERNAL", "Cannot defer FUSE request: nobody was named to answer it");
    }
    defer(message);
  }

  #succeed(
    header: RequestHeader,
    { operation, value }: { readonly operation: Operation<never, never>; readonly value: unknown },
  ): void {
    if (Object.is(operation.reply, rawBody) && value instanceof Uint8Array) this.#sendBytes(header, value);
    else this.#sendFields(header, { operation, value });
  }

  #sendFields(
    header: RequestHeader,
    { operation, value }: { readonly operation: Operation<never, never>; readonly value: unknown },
  ): void {
    const writer = this.#writer;
    writer.reset();
    writeReplyHeader(writer, { unique: header.unique, errno: 0, bodySize: 0 });
    operation.reply.encode(value as never, writer);
    writer.patchU32(0, writer.size);
    this.#options.send([writer.written()]);
  }

  #sendBytes({ unique }: RequestHeader, body: Uint8Array): void {
    const header = encodeReplyHeader(unique, { bodySize: body.length });
    const isInPlace =
      body.buffer === this.#content.buffer &&
      body.byteOffset === this.#content.byteOffset + REPLY_HEADER_SIZE;
    if (isInPlace) {
      this.#content.set(header);
      this.#options.send([this.#content.subarray(0, REPLY_HEADER_SIZE + body.length)]);
    } else {
      this.#options.send(body.length === 0 ? [header] : [header, body]);
    }
  }

  #explain(
    error: unknown,
    request: {
      readonly context: PendingRequest;
      readonly name: OperationName;
      readonly silent: boolean | undefined;
    },
  ): void {
    const { context } = request;
    const interrupted = context.isInterrupted;
    if (!interrupted && !isChosenErrno(error)) this.#options.onError?.(error, request.name);
    if (request.silent !== true) this.#fail(context, interrupted ? ERRNO.EINTR : errnoOf(error));
  }

  #fail({ unique }: { readonly unique: bigint }, errno: number): void {
    this.#options.send([encodeReplyHeader(unique, { errno })]);
  }

  #roomFor(size: number): Uint8Array {
    const most = this.#options.negotiated.maxRead;
    if (size > most) {
      throw new EsgzError(
        "FUSE_INVALID",
        `Cannot read by FUSE: expected at most ${most} bytes to be asked for, got ${size}`,
      );
    }
    const needed = REPLY_HEADER_SIZE + size;
    // Memory for the largest read is taken when the first large one comes: many servers never see any.
    if (needed > this.#content.length) {
      this.#content = new Uint8Array(Math.min(REPLY_HEADER_SIZE + most, needed * 2));
    }
    return this.#content.subarray(REPLY_HEADER_SIZE, needed);
  }
}

/** The context of a request. Its signal is made when it is first asked for: few need it. */
class PendingRequest implements RequestContext {
  readonly node: number;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  readonly unique: bigint;
  #controller: AbortController | undefined;
  #interrupted = false;

  constructor({ node, uid, gid, pid, unique }: RequestHeader) {
    this.node = node;
    this.uid = uid;
    this.gid = gid;
    this.pid = pid;
    this.unique = unique;
  }

  get resent(): boolean {
    return this.unique >= UNIQUE_RESENT;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#interrupted) this.interrupt();
    }
    return this.#controller.signal;
  }

  get isInterrupted(): boolean {
    return this.#interrupted;
  }

  interrupt(): void {
    this.#interrupted = true;
    this.#controller?.abort(
      new EsgzError("ABORTED", "Cannot answer FUSE request: the caller was interrupted by a signal"),
    );
  }
}

/** The one place where the types of a request and its answer are let go: the tables have the same keys. */
function rowOf(name: OperationName): AnyAnswer {
  return { answer: ANSWERERS[name] as Answerer<OperationName>, operation: OPERATIONS[name] as never };
}
