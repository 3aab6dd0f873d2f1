/**
 * Which handler answers which path.
 *
 * @module
 */
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { CallContext } from "./call-context.ts";

/** Answers a call with one message. */
export type UnaryHandler<I extends DescMessage, O extends DescMessage> = (
  request: MessageShape<I>,
  context: CallContext,
) => MessageInitShape<O> | Promise<MessageInitShape<O>>;

/** Answers a call with any number of messages. */
export type StreamHandler<I extends DescMessage, O extends DescMessage> = (
  request: MessageShape<I>,
  context: CallContext,
) => AsyncIterable<MessageInitShape<O>>;

/** The handlers of a service. Methods without one are `UNIMPLEMENTED`; those to which clients send streams can have none. */
export type ServiceHandlers<Service extends DescService> = {
  readonly [Name in keyof Service["method"]]?: MethodHandler<Service["method"][Name]>;
};

type MethodHandler<Method extends DescMethod> =
  Method extends DescMethodUnary<infer I, infer O>
    ? UnaryHandler<I, O>
    : Method extends DescMethodServerStreaming<infer I, infer O>
      ? StreamHandler<I, O>
      : never;

/** Takes services. */
export interface GrpcRouter {
  service<Service extends DescService>(service: Service, handlers: ServiceHandlers<Service>): void;
}

/** Answers the bytes of a request with those of its responses: one for all, or one after the other. */
export type Route = (
  request: Uint8Array,
  context: CallContext,
) => Uint8Array | Promise<Uint8Array> | AsyncIterable<Uint8Array>;

/** The routes of some services, by path. */
export function collectRoutes(register: (router: GrpcRouter) => void): ReadonlyMap<string, Route> {
  const routes = new Map<string, Route>();
  register({
    service: (service, handlers) => {
      const named: Readonly<Record<string, unknown>> = handlers;
      for (const method of service.methods) {
        const handler = named[method.localName] as AnyHandler | undefined;
        if (handler !== undefined)
          routes.set(`/${service.typeName}/${method.name}`, routeOf(method, handler));
      }
    },
  });
  return routes;
}

/** What the types of {@link ServiceHandlers} leave at run time. */
type AnyHandler = (
  request: Message,
  context: CallContext,
) => AnyMessage | Promise<AnyMessage> | AsyncIterable<AnyMessage>;
type AnyMessage = MessageInitShape<DescMessage>;

function routeOf({ input, output }: DescMethod, handler: AnyHandler): Route {
  const encode = (response: AnyMessage): Uint8Array => toBinary(output, create(output, response));
  return (request, context) => {
    const answer = handler(decode(input, request), context);
    if (Symbol.asyncIterator in answer) return encodeAll(answer, encode);
    return answer instanceof Promise ? answer.then(encode) : encode(answer);
  };
}

async function* encodeAll(
  responses: AsyncIterable<AnyMessage>,
  encode: (response: AnyMessage) => Uint8Array,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const response of responses) yield encode(response);
}

function decode(schema: DescMessage, bytes: Uint8Array): Message {
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new ConnectError(
      `expected a ${schema.typeName}`,
      Code.InvalidArgument,
      undefined,
      undefined,
      cause,
    );
  }
}
