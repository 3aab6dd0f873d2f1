/**
 * Where a daemon's credentials come from: several sources, asked in turn.
 *
 * @module
 */
import { messageOf } from "../errors/index.ts";
import type { CredentialProvider } from "../registry/index.ts";

/** A source with a name for messages. */
export interface NamedCredentials {
  readonly name: string;
  readonly provider: CredentialProvider;
}

/** Asks one source after the other; one that fails is told and passed over. The list may grow later. */
export function chainCredentials(
  sources: readonly NamedCredentials[],
  options: { readonly onProblem: (problem: string) => void },
): CredentialProvider {
  return {
    credentialFor: async (registry, query) => {
      for (const { name, provider } of sources) {
        try {
          const found = await provider.credentialFor(registry, query);
          if (found !== undefined) return found;
        } catch (error) {
          options.onProblem(`Cannot ask ${name} for credentials of "${registry}": ${messageOf(error)}`);
        }
      }
      return undefined;
    },
  };
}
