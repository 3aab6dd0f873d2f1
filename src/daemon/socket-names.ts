/**
 * The sockets that a daemon may have beside `control`, by their names in settings and in systemd's units.
 *
 * @module
 */

/** Snapshots, for containerd and BuildKit. */
export const SNAPSHOTS_SOCKET = "snapshots";

/** The image service that learns credentials, where it is not on the socket of the snapshots. */
export const IMAGES_SOCKET = "images";

/** What additional layer stores are told credentials by. */
export const CREDENTIALS_SOCKET = "credentials";
