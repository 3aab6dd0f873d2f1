/**
 * The server as its holder sees it.
 *
 * @module
 */
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { HolderMessage, ServerMessage, ServerStart } from "./holder-messages.ts";
import { SERVICE_VARIABLES } from "./service-activation.ts";

/** How a server ended. */
export interface ServerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** How long it had served, in milliseconds; undefined if it was never ready. */
  readonly servedMs: number | undefined;
}

/** What a server is started with; descriptors are those of this process. */
export interface ServerSpawn {
  readonly start: ServerStart;
  readonly onMessage: (message: HolderMessage) => void;
  readonly onExit: (exit: ServerExit) => void;
}

/**
 * A nursery that preparing an image does not have to be swept out of every few milliseconds, which shrinks when all is
 * quiet, and a heap that is not collected whole in the middle of it; code that was compiled once is kept, for the next image
 * wants it at once, also if what it makes lives longer this time; one thread that compiles and collects beside the others, each
 * of which sweeps its own nursery: more would take the processor from what is waited for; garbage that can be collected in part,
 * where collecting all of it would cost compiled code; few arenas of malloc.
 */
const NODE_FLAGS = [
  "--max-semi-space-size=8",
  "--no-flush-bytecode",
  "--no-allocation-site-pretenuring",
  "--no-parallel-scavenge",
  "--v8-pool-size=1",
  "--initial-old-space-size=64",
  "--expose-gc",
  "--disable-warning=ExperimentalWarning",
];
/** Large buffers are mappings of their own, however many were freed before: between others, their places would stay. */
const LEAN_VARIABLES = { MALLOC_ARENA_MAX: "2", MALLOC_MMAP_THRESHOLD_: String(1 << 20) };
/** Standard input, output, error, and the channel. */
const FIRST_INHERITED = 4;

/** A server that runs, or ran. */
export class ServerProcess {
  readonly #child: ChildProcess;
  #readyMs: number | undefined;

  constructor({ start, onMessage, onExit }: ServerSpawn) {
    const program = fileURLToPath(new URL(`./server-program${extname(import.meta.url)}`, import.meta.url));
    this.#child = spawn(process.execPath, [...NODE_FLAGS, program], {
      cwd: "/",
      env: serverVariables(),
      stdio: stdioOf(start),
    });
    this.#child.on("message", (message) => {
      const known = message as HolderMessage;
      if (known.kind === "ready") this.#readyMs = performance.now();
      onMessage(known);
    });
    let ended = false;
    const end = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (ended) return;
      ended = true;
      onExit({
        code,
        signal,
        servedMs: this.#readyMs === undefined ? undefined : performance.now() - this.#readyMs,
      });
    };
    this.#child.on("exit", end);
    // It could not be started, or a message could not be sent: then its end follows, if it had a beginning.
    this.#child.on("error", () => {
      if (this.#child.pid === undefined) end(null, null);
    });
    this.send({ kind: "start", start: withServersDescriptors(start) });
  }

  /** Undefined if it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Whether it serves, or did. */
  get wasReady(): boolean {
    return this.#readyMs !== undefined;
  }

  /** Sends a message; one that is dead does not get it. */
  send(message: ServerMessage): void {
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  /** Ends it at once. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

function stdioOf({ listening, adopted }: ServerStart): StdioOptions {
  return ["ignore", "inherit", "inherit", "ipc", ...[...listening, ...adopted].map(({ fd }) => fd)];
}

function withServersDescriptors(start: ServerStart): ServerStart {
  const { listening, adopted } = start;
  const firstAdopted = FIRST_INHERITED + listening.length;
  return {
    ...start,
    listening: listening.map((socket, index) => ({ ...socket, fd: FIRST_INHERITED + index })),
    adopted: adopted.map((session, index) => ({ ...session, fd: firstAdopted + index })),
  };
}

function serverVariables(): NodeJS.ProcessEnv {
  const variables: NodeJS.ProcessEnv = { ...LEAN_VARIABLES, ...process.env };
  for (const name of SERVICE_VARIABLES) delete variables[name];
  return variables;
}
