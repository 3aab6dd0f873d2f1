/**
 * From a request to the handler that answers it.
 *
 * @module
 */
import type { AccessAction, AccessControl, AccessNeed } from "./access-control.ts";
import { deleteBlob, getBlob, headBlob } from "./blob-handlers.ts";
import type { Catalog } from "./catalog.ts";
import type { Exchange } from "./exchange.ts";
import { getCatalog, getReferrers, getTags } from "./listing-handlers.ts";
import { deleteManifest, getManifest, putManifest } from "./manifest-handlers.ts";
import { RegistryProblem } from "./registry-problem.ts";
import { parseRoute, type Route } from "./route.ts";
import { deleteUpload, getUpload, patchUpload, postUpload, putUpload } from "./upload-handlers.ts";
import type { UploadSessions } from "./upload-sessions.ts";

/** What {@linkcode dispatch} works with. */
export interface DispatchContext {
  readonly catalog: Catalog;
  readonly uploads: UploadSessions;
  readonly access: AccessControl;
  readonly maxManifestBytes: number;
}

type RepositoryRoute = Extract<Route, { repository: string }>;

const ACTIONS: Readonly<Record<string, AccessAction>> = {
  GET: "pull",
  HEAD: "pull",
  POST: "push",
  PATCH: "push",
  PUT: "push",
  DELETE: "delete",
};

/**
 * Answers one request.
 *
 * @throws {RegistryProblem} for what the client did wrong; anything else is the server's own failure.
 */
export async function dispatch(exchange: Exchange, context: DispatchContext): Promise<void> {
  const route = parseRoute(exchange.path);
  if (route === undefined) throw new RegistryProblem("UNSUPPORTED", "no such endpoint", { status: 404 });
  if ("repository" in route) return await dispatchRepository(exchange, context, route);
  if (route.kind === "token") return await dispatchToken(exchange, context);
  assertMethod(exchange, ["GET", "HEAD"]);
  switch (route.kind) {
    case "root":
      return exchange.sendJson(200, { name: "esgz registry", api: "/v2/" });
    case "base":
      await context.access.authorize(exchange, []);
      return exchange.sendJson(200, {});
    case "catalog":
      await context.access.authorize(exchange, [{ type: "registry", name: "catalog", actions: ["*"] }]);
      return await getCatalog(exchange, context.catalog);
  }
}

async function dispatchToken(exchange: Exchange, { access }: DispatchContext): Promise<void> {
  if (access.answerToken === undefined) {
    throw new RegistryProblem("UNSUPPORTED", "this registry has no tokens", { status: 404 });
  }
  assertMethod(exchange, ["GET", "HEAD", "POST"]);
  await access.answerToken(exchange);
}

async function dispatchRepository(
  exchange: Exchange,
  context: DispatchContext,
  route: RepositoryRoute,
): Promise<void> {
  const action = actionOf(exchange.method, route);
  if (action !== undefined) await context.access.authorize(exchange, needsOf(route, action));
  switch (route.kind) {
    case "blob":
      return await dispatchBlob(exchange, context, route);
    case "uploads":
      assertMethod(exchange, ["POST"]);
      return await postUpload(exchange, uploadContext(context), route.repository);
    case "upload":
      return await dispatchUpload(exchange, context, route);
    case "manifest":
      return await dispatchManifest(exchange, context, route);
    case "tags":
      assertMethod(exchange, ["GET", "HEAD"]);
      return await getTags(exchange, context.catalog, route.repository);
    case "referrers":
      assertMethod(exchange, ["GET", "HEAD"]);
      return await getReferrers(exchange, context.catalog, route);
  }
}

async function dispatchBlob(
  exchange: Exchange,
  { catalog }: DispatchContext,
  route: Extract<Route, { kind: "blob" }>,
): Promise<void> {
  switch (assertMethod(exchange, ["GET", "HEAD", "DELETE"])) {
    case "GET":
      return await getBlob(exchange, catalog, route);
    case "HEAD":
      return await headBlob(exchange, catalog, route);
    case "DELETE":
      return await deleteBlob(exchange, catalog, route);
  }
}

async function dispatchUpload(
  exchange: Exchange,
  context: DispatchContext,
  route: Extract<Route, { kind: "upload" }>,
): Promise<void> {
  const { repository, id } = route;
  const uploads = uploadContext(context);
  switch (assertMethod(exchange, ["GET", "HEAD", "PATCH", "PUT", "DELETE"])) {
    case "GET":
    case "HEAD":
      return await getUpload(exchange, uploads, { repository, id });
    case "PATCH":
      return await patchUpload(exchange, uploads, { repository, id });
    case "PUT":
      return await putUpload(exchange, uploads, { repository, id });
    case "DELETE":
      return await deleteUpload(exchange, uploads, { repository, id });
  }
}

async function dispatchManifest(
  exchange: Exchange,
  { catalog, maxManifestBytes }: DispatchContext,
  route: Extract<Route, { kind: "manifest" }>,
): Promise<void> {
  switch (assertMethod(exchange, ["GET", "HEAD", "PUT", "DELETE"])) {
    case "GET":
    case "HEAD":
      return await getManifest(exchange, catalog, route);
    case "PUT":
      return await putManifest(exchange, catalog, { ...route, maxManifestBytes });
    case "DELETE":
      return await deleteManifest(exchange, catalog, route);
  }
}

function uploadContext({ catalog, uploads, access }: DispatchContext): Parameters<typeof postUpload>[1] {
  const mayPull = async (exchange: Exchange, repository: string): Promise<boolean> => {
    try {
      await access.authorize(exchange, [{ type: "repository", name: repository, actions: ["pull"] }]);
      return true;
    } catch (error) {
      if (error instanceof RegistryProblem) return false;
      throw error;
    }
  };
  return { catalog, uploads, mayPull };
}

/** What a request does to its repository. An upload's status and end are part of pushing. */
function actionOf(method: string, route: RepositoryRoute): AccessAction | undefined {
  return route.kind === "upload" || route.kind === "uploads" ? "push" : ACTIONS[method];
}

/** Who pushes needs to look around, too. */
function needsOf(route: RepositoryRoute, action: AccessAction): readonly AccessNeed[] {
  const actions: readonly AccessAction[] = action === "push" ? ["pull", "push"] : [action];
  return [{ type: "repository", name: route.repository, actions }];
}

/** @throws {RegistryProblem} `UNSUPPORTED` with the methods that the endpoint has. */
function assertMethod<const M extends string>(exchange: Exchange, allowed: readonly M[]): M {
  const method = allowed.find((one) => one === exchange.method);
  if (method !== undefined) return method;
  throw new RegistryProblem("UNSUPPORTED", `${exchange.method} is not supported here`, {
    headers: { Allow: allowed.join(", ") },
  });
}
