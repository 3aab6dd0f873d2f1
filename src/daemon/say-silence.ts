/**
 * A word to whoever waits for a registry that says nothing.
 *
 * @module
 */
import type { ControlEvent } from "./control-protocol.ts";

/** Who is waited for, and how it is told. */
export interface SilenceOptions {
  /** Host and port, for people. */
  readonly registry: string;
  /** Bytes that have come so far. */
  readonly received: () => number;
  readonly emit: (event: ControlEvent) => void;
}

const LOOK_MS = 5000;

/** Says so when nothing has come for five seconds, and then each time it has been twice as long. Disposing ends it. */
export function saySilence({ registry, received, emit }: SilenceOptions): Disposable {
  let before = received();
  let silentMs = 0;
  let saidMs = 0;
  const timer = setInterval(() => {
    const now = received();
    silentMs = now === before ? silentMs + LOOK_MS : 0;
    before = now;
    if (silentMs === 0) saidMs = 0;
    if (silentMs === 0 || silentMs < 2 * saidMs) return;
    saidMs = silentMs;
    emit({ kind: "note", text: `${registry} has sent nothing for ${silentMs / 1000} s; trying on` });
  }, LOOK_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
