/**
 * What containerd's clients say about themselves with each call.
 *
 * @module
 */

/** The metadata key of the namespace a call is made in. */
export const NAMESPACE_KEY = "containerd-namespace";

/** The metadata key of the lease that protects what a call makes. */
export const LEASE_KEY = "containerd-lease";

/** The namespace of a call; undefined where the client sent none, as garbage collectors do. */
export function namespaceOf(headers: Headers): string | undefined {
  const value = headers.get(NAMESPACE_KEY);
  return value === null || value === "" ? undefined : value;
}
