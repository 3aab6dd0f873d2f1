/**
 * Says which image will be run, before the command line is loaded: the daemon prepares it meanwhile.
 *
 * Small on purpose, and without promises: of a line that it does not understand at once nothing is said, and all goes on as it does
 * without it. What the line means is for the command to say, which asks for the image as if nothing had been announced.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { createConnection } from "node:net";
import {
  type AnnounceRequest,
  daemonFilesOf,
  defaultConfigPath,
  defaultStoreRoot,
  MAX_SOCKET_PATH,
  type StoreOwner,
} from "../daemon/index.ts";
import { homeDirectory } from "./environment.ts";
import { namedStore } from "./named-store.ts";

/** Options of `run` that stand alone, and the letters of those that have one. */
export const SWITCHES: ReadonlySet<string> = new Set(
  "--json --quiet -q --rm --tty -t --interactive -i --read-only --no-prefetch --background --no-background".split(
    " ",
  ),
);
const SWITCH_LETTERS = /^-[qti]+$/;
/** Options of `run` with a value that does not change which image it is, or how it is reached; two of them are told. */
export const VALUED: ReadonlySet<string> = new Set(
  "--env -e --env-file --volume -v --workdir -w --user -u --entrypoint --network --hostname --runtime --name --pull --store".split(
    " ",
  ),
);
/** Variables that name credentials, which the daemon would have to be told. */
const CREDENTIALS = ["REGISTRY_AUTH_FILE", "DOCKER_CONFIG"];
const MAX_BODY = 4096;
/** Names of images that lie on this machine. */
const LOCAL_NAME = /^(oci|docker-archive|dir):/;
/** Where a configuration may say which store it is. */
const STORE_LINE = /^\s*["']?store["']?\s*=/m;

/** What can be said of a command line. */
export interface Announcement {
  /** The root of the store, absolute. */
  readonly store: string;
  readonly reference: string;
  readonly resolve?: AnnounceRequest["resolve"];
}

/** What the words behind `run` announce; undefined where that is not plain. */
export function announcementOf(words: readonly string[], owner: StoreOwner): Announcement | undefined {
  if (CREDENTIALS.some((name) => (owner.variables[name] ?? "") !== "")) return undefined;
  const line = readLine(words);
  if (line === undefined || LOCAL_NAME.test(line.image)) return undefined;
  const store = namedStore(line.store, owner) ?? usualStore(owner);
  if (store === undefined) return undefined;
  return { store, reference: line.image, ...(line.resolve === undefined ? {} : { resolve: line.resolve }) };
}

/** Tells the daemon, if one runs. Resolves when it was told; never fails: what is wrong the command will say. */
export async function announce(words: readonly string[]): Promise<void> {
  try {
    const owner = { uid: process.geteuid?.() ?? 0, home: homeDirectory(), variables: process.env };
    const announcement = announcementOf(words, owner);
    if (announcement !== undefined) await tell(announcement);
  } catch {
    // There may be no working directory.
  }
}

async function tell({ store, reference, resolve }: Announcement): Promise<void> {
  const { control } = daemonFilesOf(store);
  const request: AnnounceRequest = {
    reference,
    ...(resolve === undefined ? {} : { resolve }),
    ownerPid: process.pid,
  };
  const body = JSON.stringify(request);
  // A socket takes so much at once, also of a daemon that is stopped.
  if (Buffer.byteLength(control) > MAX_SOCKET_PATH || Buffer.byteLength(body) > MAX_BODY) return;
  // By hand: a client of HTTP takes longer to load than this to say.
  const head = [
    "POST /v1/announcements HTTP/1.1",
    "host: esgz",
    "connection: close",
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  // It stays open as long as this process does, which is what the announcement is worth.
  const socket = createConnection(control);
  socket.on("error", () => undefined);
  socket.unref();
  await new Promise<void>((told) => {
    socket.once("close", told);
    socket.write(`${head.join("\r\n")}\r\n\r\n${body}`, () => told());
  });
  socket.resume();
}

/** What a line says that counts. */
interface Line {
  readonly image: string;
  readonly store?: string | undefined;
  readonly resolve?: AnnounceRequest["resolve"];
}

function readLine(words: readonly string[]): Line | undefined {
  let store: string | undefined;
  let resolve: AnnounceRequest["resolve"];
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? "";
    if (!word.startsWith("-") || word === "--") {
      const image = word === "--" ? words[at + 1] : word;
      return image === undefined || image === "" ? undefined : { image, store, resolve };
    }
    if (SWITCHES.has(word) || SWITCH_LETTERS.test(word)) continue;
    const [name = "", inWord] = word.split(/=(.*)/s);
    if (!VALUED.has(name)) return undefined;
    if (inWord === undefined) at += 1;
    const value = inWord ?? words[at];
    if (name === "--store") store = value;
    if (name !== "--pull") continue;
    if (value !== "always" && value !== "missing") return undefined;
    resolve = value;
  }
  return undefined;
}

/** The store of a user who names none, unless the configuration may name one. */
function usualStore(owner: StoreOwner): string | undefined {
  return STORE_LINE.test(readIfThere(defaultConfigPath(owner))) ? undefined : defaultStoreRoot(owner);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
