/**
 * Scopes: rights as text.
 *
 * ```
 * <type>:<name>:<action>,<action>      repository:library/python:pull,push     registry:catalog:*
 * ```
 *
 * Source: Docker registry token specification, "Token Scope Documentation".
 *
 * @module
 */
import { isRepository } from "../oci/index.ts";
import type { AccessAction, AccessNeed } from "./access-control.ts";

const ACTIONS: readonly AccessAction[] = ["pull", "push", "delete", "*"];

/** The rights that texts of scopes ask for; each text may hold several, and what is not understood grants nothing. */
export function parseScopes(texts: readonly string[]): readonly AccessNeed[] {
  return texts.flatMap((text) => text.split(" ")).flatMap(parseScope);
}

/** The text of rights. */
export function formatScopes(needs: readonly AccessNeed[]): string {
  return needs.map(({ type, name, actions }) => `${type}:${name}:${actions.join(",")}`).join(" ");
}

/** Whether the granted rights hold all that are needed. */
export function covers(granted: readonly AccessNeed[], needed: readonly AccessNeed[]): boolean {
  return needed.every(({ type, name, actions }) =>
    actions.every((action) =>
      granted.some(
        (one) =>
          one.type === type &&
          one.name === name &&
          (one.actions.includes(action) || one.actions.includes("*")),
      ),
    ),
  );
}

function parseScope(text: string): readonly AccessNeed[] {
  const first = text.indexOf(":");
  const last = text.lastIndexOf(":");
  const type = text.slice(0, Math.max(0, first));
  const name = text.slice(first + 1, Math.max(0, last));
  const asked = text.slice(last + 1).split(",");
  const actions = ACTIONS.filter((action) => asked.includes(action));
  if (actions.length === 0) return [];
  if (type === "registry" && name === "catalog") return [{ type, name, actions }];
  return type === "repository" && isRepository(name) ? [{ type, name, actions }] : [];
}
