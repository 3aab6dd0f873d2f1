/**
 * The `dir:` layout of skopeo and podman: one image, its files side by side.
 *
 * | path | content |
 * | --- | --- |
 * | `version` | `Directory Transport Version: 1.1` and a newline |
 * | `manifest.json` | the manifest, or the index of a multi-platform image |
 * | `HEX.manifest.json` | a manifest that the index lists |
 * | `HEX` | a config or layer, by the hex digits of its digest |
 *
 * Source: containers-transports(5), and directories that skopeo writes.
 *
 * @module
 */

/** The file that marks the layout. */
export const DIRECTORY_MARKER = "version";
/** What the marker file says. */
export const DIRECTORY_MARKER_TEXT = "Directory Transport Version: 1.1\n";
/** The file of the root manifest. */
export const DIRECTORY_MANIFEST = "manifest.json";
/** What follows the hex digits in the name of a manifest that is not the root. */
export const DIRECTORY_MANIFEST_SUFFIX = ".manifest.json";
