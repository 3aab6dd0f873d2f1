/**
 * Who may do what.
 *
 * @module
 */
import type { Exchange } from "./exchange.ts";

/** What may be done in a repository, or with the list of all of them. */
export type AccessAction = "pull" | "push" | "delete" | "*";

/** A right that a request needs. */
export interface AccessNeed {
  /** `registry` for what is not inside one repository. */
  readonly type: "repository" | "registry";
  /** The repository; `catalog` for the list of all. */
  readonly name: string;
  readonly actions: readonly AccessAction[];
}

/** Decides about requests. */
export interface AccessControl {
  /**
   * Lets the request pass or throws. No needs at all means: the client must be known (`GET /v2/`).
   *
   * @throws {RegistryProblem} `UNAUTHORIZED` with a challenge, `DENIED`
   */
  authorize(exchange: Exchange, needs: readonly AccessNeed[]): Promise<void>;
  /** Answers `/token`, where there are tokens. */
  readonly answerToken?: ((exchange: Exchange) => Promise<void>) | undefined;
}

/** Lets everybody do everything. */
export const OPEN_ACCESS: AccessControl = {
  authorize: () => Promise.resolve(),
};
