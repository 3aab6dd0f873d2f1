/**
 * The holder as its server sees it.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { AdoptedSession, HolderMessage, ServerMessage, ServerStart } from "./holder-messages.ts";

/** Why a server ends: `stop` with its mounts, `retire` for the next one, `orphan` since its holder was killed. */
export type ServerEnd = "stop" | "retire" | "orphan";

/** The channel to the holder. */
export class HolderChannel {
  /** What to begin with. */
  readonly start: Promise<ServerStart>;
  readonly #sessions = new Map<string, AdoptedSession>();
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>();
  readonly #ended = Promise.withResolvers<ServerEnd>();
  #requests = 0;
  #isRetireHeld: () => Promise<boolean> = () => Promise.resolve(false);

  constructor() {
    const start = Promise.withResolvers<ServerStart>();
    this.start = start.promise;
    process.on("message", (message: unknown) => {
      const known = message as ServerMessage;
      if (known.kind === "start") {
        for (const session of known.start.adopted) this.#sessions.set(session.id, session);
        start.resolve(known.start);
      } else if (known.kind === "done") this.#settle(known);
      else if (known.kind === "stop") this.#ended.resolve("stop");
      else void this.#retireUnlessHeld();
    });
    process.on("disconnect", () => {
      this.#ended.resolve("orphan");
      for (const { reject } of this.#waiting.values()) reject(orphaned());
      this.#waiting.clear();
    });
  }

  /** Resolves when this server has to end. */
  get ended(): Promise<ServerEnd> {
    return this.#ended.promise;
  }

  /** The sessions that the holder keeps, with the descriptors of this process. */
  get sessions(): readonly AdoptedSession[] {
    return [...this.#sessions.values()];
  }

  /** Ends this server, as if the holder had asked for it. */
  end(how: ServerEnd): void {
    this.#ended.resolve(how);
  }

  /** Asked before a retirement: whether something speaks against it. Then it is not heeded. */
  set holdRetirement(isHeld: () => Promise<boolean>) {
    this.#isRetireHeld = isHeld;
  }

  /** Has the holder keep the descriptor of a FUSE session, so that the mount outlives this server. */
  async adopt({ id, fd, negotiated, target }: AdoptedSession): Promise<void> {
    // Its end has been told: nobody would answer.
    if (!process.connected) throw orphaned();
    const session = { id, fd, negotiated, target };
    const request = this.#requests;
    this.#requests += 1;
    const done = Promise.withResolvers<void>();
    this.#waiting.set(request, done);
    this.send({ kind: "adopt", request, session });
    await done.promise;
    this.#sessions.set(id, session);
  }

  /** Has the holder close its copy: the mount is gone. */
  disown(id: string): Promise<void> {
    this.#sessions.delete(id);
    this.send({ kind: "release", id });
    return Promise.resolve();
  }

  /** Tells the holder something. */
  send(message: HolderMessage): void {
    if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
  }

  /** Resolves when what was told before has left this process. */
  async flush(message: HolderMessage): Promise<void> {
    await new Promise<void>((resolve) => {
      if (!process.connected || process.send === undefined) resolve();
      else process.send(message, undefined, undefined, () => resolve());
    });
  }

  async #retireUnlessHeld(): Promise<void> {
    if (!(await this.#isRetireHeld())) this.#ended.resolve("retire");
  }

  #settle({ request, failure }: { readonly request: number; readonly failure?: string }): void {
    const done = this.#waiting.get(request);
    this.#waiting.delete(request);
    if (failure === undefined) done?.resolve();
    else done?.reject(notKept(failure));
  }
}

function orphaned(): EsgzError {
  return notKept("its end");
}

function notKept(found: string): EsgzError {
  return new EsgzError(
    "MOUNT_FAILED",
    `Cannot keep FUSE mount: expected the holder to copy its descriptor, got ${found}`,
  );
}
