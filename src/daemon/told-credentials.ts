/**
 * Credentials that container engines tell an additional layer store, as their `additional-layer-store-auth-helper` does.
 *
 * ```text
 * engine ── JSON on stdin ──> helper ── Controller.AddCredential(data) ──> daemon
 *
 * {"registry.example/team/app:1": {"username": "...", "password": "...", "identityToken": "..."}}
 * ```
 *
 * Source: containers/image, sysregistriesv2; the service of stargz-store.
 *
 * @module
 */
import * as v from "valibot";
import { EsgzError } from "../errors/index.ts";
import { type GrpcRouter, Controller, type GrpcServer, type ListenPlace, serveGrpc } from "../grpc/index.ts";
import type { Credential } from "../registry/index.ts";
import type { LearnedCredentials } from "./learned-credentials.ts";

const Text = v.optional(v.string(), "");
const ToldSchema = v.record(v.string(), v.object({ username: Text, password: Text, identityToken: Text }));

/**
 * Reads what an engine tells: each image with its credential, or undefined for one that is pulled without. Pure.
 *
 * @param data JSON; nothing at all is no image.
 * @throws {EsgzError} `CREDENTIALS_INVALID`; its message has no secrets.
 */
export function parseToldCredentials(
  data: Uint8Array,
): readonly (readonly [image: string, Credential | undefined])[] {
  if (data.length === 0) return [];
  const told = v.safeParse(ToldSchema, parseJson(data));
  if (!told.success) throw unreadable(`${told.issues[0].expected ?? "another value"} in each field`);
  return Object.entries(told.output).map(([image, auth]) => [image, credentialOf(auth)]);
}

/** Serves until closed: what is told is learned, and answered when it is on the disk. @throws {EsgzError} as `serveGrpc()` */
export async function serveCredentials(
  learned: Pick<LearnedCredentials, "learnAll">,
  listen: ListenPlace,
): Promise<GrpcServer> {
  const routes = (router: GrpcRouter): void => {
    router.service(Controller, {
      addCredential: async ({ data }) => {
        await learned.learnAll(parseToldCredentials(data));
        return {};
      },
    });
  };
  return await serveGrpc({ routes, listen });
}

function credentialOf(auth: v.InferOutput<typeof ToldSchema>[string]): Credential | undefined {
  const { username, password, identityToken } = auth;
  if (identityToken !== "") return { identityToken };
  return username === "" && password === "" ? undefined : { username, password };
}

/** What it says of text that is no JSON quotes the text. */
function parseJson(data: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(data).toString("utf8"));
  } catch {
    throw unreadable("JSON");
  }
}

function unreadable(wanted: string): EsgzError {
  return new EsgzError(
    "CREDENTIALS_INVALID",
    `Cannot read credentials for a layer store: expected ${wanted}, got something else`,
  );
}
