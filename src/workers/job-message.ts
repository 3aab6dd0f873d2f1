/**
 * What a pool and its threads say to each other.
 *
 * @module
 */
import {
  type ErrorCode,
  type ErrorDetails,
  EsgzError,
  ioCodeOf,
  isEsgzError,
  messageOf,
  systemCodeOf,
} from "../errors/index.ts";

/** A job with its number, as it is posted. */
export interface JobMessage {
  readonly id: number;
  readonly job: unknown;
}

/** A thread's answer. */
export type AnswerMessage =
  { readonly id: number; readonly result: unknown } | { readonly id: number; readonly failure: JobFailure };

/** An error as data: what structured cloning leaves of it would lose the code. */
export interface JobFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails;
}

/** Turns what a job threw into data; `action` is the `<verb> <thing>` of errors that are not esgz's own. */
export function failureOf(thrown: unknown, action: string): JobFailure {
  if (isEsgzError(thrown)) return { code: thrown.code, message: thrown.message, details: thrown.details };
  const message = `Cannot ${action}: ${messageOf(thrown)}`;
  return { code: ioCodeOf(thrown), message, details: { system: systemCodeOf(thrown) } };
}

/** The error that a failure describes. */
export function errorOfFailure({ code, message, details }: JobFailure): EsgzError {
  return new EsgzError(code, message, { details });
}
