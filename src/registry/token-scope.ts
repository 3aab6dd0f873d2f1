/**
 * What a bearer token is good for: `repository:<name>:<action>[,<action>]`.
 *
 * Source: distribution project, "Token Scope Documentation".
 *
 * @module
 */

/** An action on a repository. */
export type RepositoryAction = "pull" | "push" | "delete";

/** The scope for actions on one repository. */
export function repositoryScope(repository: string, actions: readonly RepositoryAction[]): string {
  return `repository:${repository}:${actions.join(",")}`;
}

/**
 * One canonical list of scopes: actions on the same resource are joined, everything is sorted, nothing is double.
 * Scopes may be lists themselves, separated by blanks, as servers write them in challenges.
 */
export function mergeScopes(scopes: readonly string[]): string[] {
  const actionsOf = new Map<string, Set<string>>();
  for (const scope of scopes.flatMap((text) => text.split(/\s+/)).filter((text) => text !== "")) {
    const colon = scope.lastIndexOf(":");
    const resource = colon < 0 ? scope : scope.slice(0, colon);
    const actions = actionsOf.get(resource) ?? new Set();
    if (colon >= 0) for (const action of scope.slice(colon + 1).split(",")) actions.add(action);
    actionsOf.set(resource, actions);
  }
  return [...actionsOf]
    .map(([resource, actions]) =>
      actions.size === 0 ? resource : `${resource}:${[...actions].toSorted().join(",")}`,
    )
    .toSorted();
}
