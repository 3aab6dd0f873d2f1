/**
 * The loop over requests on one thread.
 *
 * While no promise is pending, the thread blocks until the next request: that is several times faster than to wait for it
 * with the event loop. While promises are pending, the event loop has to run for them, and the device is waited for beside it.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import type { DeviceEvent, FuseDevice } from "./fuse-device.ts";
import type { RequestHandler } from "./request-handler.ts";

/** Requests that are handled before the event loop gets its turn, while promises are pending. */
const REQUESTS_A_TURN = 32;

/** What the loop runs on. */
export interface DeviceLoopOptions {
  readonly device: FuseDevice;
  readonly handler: RequestHandler;
  /** Whether to go on: asked after each wake. */
  readonly isStopped: () => boolean;
}

/**
 * Handles requests until the device ends or the loop is stopped; requests that were read are answered before it returns.
 *
 * @throws {EsgzError} `IO_FAILED` if the device fails.
 */
export async function runDeviceLoop(options: DeviceLoopOptions): Promise<"ended" | "stopped"> {
  // From here on every turn begins after the event loop looked for messages: the first wake brings them in one turn, too.
  await setImmediate();
  for (;;) {
    const outcome = serveBlocking(options) ?? (await serveTurns(options));
    if (outcome !== undefined) {
      await settle(options.handler);
      return outcome;
    }
  }
}

type Outcome = "ended" | "stopped" | undefined;

/** Until the event loop is needed. */
function serveBlocking(options: DeviceLoopOptions): Outcome {
  const { device, handler } = options;
  for (;;) {
    const event = device.wait();
    const outcome = act(event, options);
    if (outcome !== undefined) return outcome;
    if (event.kind === "wake" || handler.pending > 0) return undefined;
  }
}

/** Until the event loop has nothing to do for requests. Answers that were there at once need one turn only. */
async function serveTurns(options: DeviceLoopOptions): Promise<Outcome> {
  const { device, handler } = options;
  for (;;) {
    await setImmediate();
    if (handler.pending === 0) return undefined;
    const outcome = act(await device.waitLater(), options) ?? serveWaiting(options);
    if (outcome !== undefined) return outcome;
  }
}

/** The requests that are there already. */
function serveWaiting(options: DeviceLoopOptions): Outcome {
  const { device } = options;
  if (!device.canPeek) return undefined;
  for (let count = 0; count < REQUESTS_A_TURN; count += 1) {
    const event = device.wait(0);
    const outcome = act(event, options);
    if (outcome !== undefined) return outcome;
    if (event.kind !== "request") return undefined;
  }
  return undefined;
}

function act(event: DeviceEvent, { handler, isStopped }: DeviceLoopOptions): Outcome {
  if (event.kind === "request") handler.handle(event.message);
  if (event.kind === "ended") return "ended";
  return event.kind === "wake" && isStopped() ? "stopped" : undefined;
}

async function settle(handler: RequestHandler): Promise<void> {
  while (handler.pending > 0) await handler.settled();
}
