/**
 * Which hosts are this machine.
 *
 * @module
 */

/** Whether a host name (with or without port, brackets allowed) is `localhost`, in 127.0.0.0/8, or `::1`. */
export function isLoopbackHost(host: string): boolean {
  const name = hostNameOf(host).toLowerCase();
  if (name === "localhost" || name.endsWith(".localhost")) return true;
  if (name === "::1" || name === "[::1]") return true;
  const parts = /^127\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(name);
  return parts !== null && parts.slice(1).every((part) => Number(part) <= 255);
}

/** A host without its port. */
function hostNameOf(host: string): string {
  if (host.startsWith("[")) return host.slice(0, host.indexOf("]") + 1);
  const colon = host.indexOf(":");
  return colon < 0 || host.indexOf(":", colon + 1) >= 0 ? host : host.slice(0, colon);
}
