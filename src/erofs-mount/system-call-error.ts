/**
 * A system call that failed.
 *
 * @module
 */

/** A failed system call, in the shape of Node's own system errors: `code` is the errno's name. */
export class SystemCallError extends Error {
  override readonly name: string = "SystemCallError";
  readonly syscall: string;
  readonly code: string;

  constructor(syscall: string, code: string) {
    super(`${syscall} failed with ${code}`);
    this.syscall = syscall;
    this.code = code;
  }
}
