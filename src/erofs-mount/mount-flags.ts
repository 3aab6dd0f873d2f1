/**
 * Flags that every mount can have.
 *
 * @module
 */

/** What a mount forbids. */
export interface MountFlags {
  /** Nothing can be written through the mount. */
  readonly readOnly?: boolean;
  /** Device nodes cannot be opened (`nodev`). */
  readonly noDevices?: boolean;
  /** Set-user-id bits and file capabilities do not count (`nosuid`). */
  readonly noSetuid?: boolean;
  /** No program can be started from it (`noexec`). */
  readonly noExecute?: boolean;
}

/** `MOUNT_ATTR_*` of the new calls and `MS_*` of `mount(2)` have the same numbers for these. Source: `linux/mount.h`. */
const READ_ONLY = 1;
const NO_SETUID = 2;
const NO_DEVICES = 4;
const NO_EXECUTE = 8;

/** The bits of the flags, for `fsmount(2)`, `mount_setattr(2)` and `mount(2)` alike. */
export function mountFlagBits(flags: MountFlags): number {
  return (
    (flags.readOnly === true ? READ_ONLY : 0) |
    (flags.noSetuid === true ? NO_SETUID : 0) |
    (flags.noDevices === true ? NO_DEVICES : 0) |
    (flags.noExecute === true ? NO_EXECUTE : 0)
  );
}
