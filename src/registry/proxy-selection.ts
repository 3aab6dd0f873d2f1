/**
 * Which proxy a request goes through, by the rules behind `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
 *
 * | NO_PROXY entry     | matches                                        |
 * | ------------------ | ---------------------------------------------- |
 * | `*`                | everything                                     |
 * | `example.com`      | that host and its subdomains                   |
 * | `.example.com`     | its subdomains only                            |
 * | `example.com:5000` | the same, on that port only                    |
 * | `10.1.2.3`         | that address                                   |
 * | `10.0.0.0/8`       | addresses in that network (IPv4)               |
 *
 * Loopback hosts never go through a proxy.
 *
 * Source: the rules of Go's `golang.org/x/net/http/httpproxy`, which container tools share.
 *
 * @module
 */
import { isLoopbackHost } from "./loopback.ts";

/** The values of the proxy variables, as the host program read them. */
export interface ProxySettings {
  /** Proxy for `http:` targets. */
  readonly httpProxy?: string | undefined;
  /** Proxy for `https:` targets. */
  readonly httpsProxy?: string | undefined;
  /** Comma-separated exceptions. */
  readonly noProxy?: string | undefined;
}

/** The proxy for a target, or undefined for a direct connection. A proxy without scheme is taken as `http:`. */
export function selectProxy(target: URL, settings: ProxySettings): URL | undefined {
  const proxy = target.protocol === "https:" ? settings.httpsProxy : settings.httpProxy;
  if (proxy === undefined || proxy === "" || isLoopbackHost(target.host)) return undefined;
  const port = target.port === "" ? (target.protocol === "https:" ? "443" : "80") : target.port;
  const entries = (settings.noProxy ?? "").split(/[\s,]+/).filter((entry) => entry !== "");
  if (entries.some((entry) => matchesEntry(entry.toLowerCase(), target.hostname.toLowerCase(), port))) {
    return undefined;
  }
  const text = proxy.includes("://") ? proxy : `http://${proxy}`;
  return URL.canParse(text) ? new URL(text) : undefined;
}

function matchesEntry(entry: string, host: string, port: string): boolean {
  if (entry === "*") return true;
  const network = /^(\d+\.\d+\.\d+\.\d+)\/(\d{1,2})$/.exec(entry);
  if (network !== null) return isInNetwork(host, network[1] ?? "", Number(network[2]));
  const withPort = /^(\[[^\]]+\]|[^:]+):(\d+)$/.exec(entry);
  if (withPort !== null && withPort[2] !== port) return false;
  const name = (withPort?.[1] ?? entry).replace(/^\*\./, ".");
  if (name.startsWith(".")) return host.endsWith(name);
  return host === name || host === `[${name}]` || (!isIpv4(host) && host.endsWith(`.${name}`));
}

function isInNetwork(host: string, network: string, bits: number): boolean {
  const [address, base] = [ipv4Of(host), ipv4Of(network)];
  if (address === undefined || base === undefined || bits > 32) return false;
  const span = 2 ** (32 - bits);
  return Math.floor(address / span) === Math.floor(base / span);
}

function isIpv4(text: string): boolean {
  return ipv4Of(text) !== undefined;
}

function ipv4Of(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256)) {
    return undefined;
  }
  return parts.reduce((value, part) => value * 256 + Number(part), 0);
}
