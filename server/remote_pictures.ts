import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { orAborted } from "./abort.ts";
import { ApiError, invalid } from "./errors.ts";

/** An address that a name stands for. */
export interface Address {
  address: string;
  family: number;
}

export type Resolve = (host: string) => Promise<Address[]>;

const MAX_REDIRECTS = 3;
const TIMEOUT_MS = 20_000;

/** Addresses that are no public ones: loopback, private, link-local, shared, documentation, multicast, reserved. */
const NOT_PUBLIC = new BlockList();
for (const [net, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const) {
  NOT_PUBLIC.addSubnet(net, bits, "ipv4");
}
/** Of IPv6, only global unicast is public; parts of it carry IPv4 addresses, or are for documentation. */
const GLOBAL_UNICAST = new BlockList();
GLOBAL_UNICAST.addSubnet("2000::", 3, "ipv6");
for (const [net, bits] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const) {
  NOT_PUBLIC.addSubnet(net, bits, "ipv6");
}

/** Whether anybody may be connected to at this address. */
export function isPublic({ address, family }: Address): boolean {
  if (family === 4) return !NOT_PUBLIC.check(address, "ipv4");
  return GLOBAL_UNICAST.check(address, "ipv6") && !NOT_PUBLIC.check(address, "ipv6");
}

/** Reads pictures from hosts that the server was told to trust, and from no other. */
export class RemotePictures {
  readonly #hosts: ReadonlySet<string>;
  readonly #resolve: Resolve;
  readonly #allowed: (address: Address) => boolean;

  /**
   * @param hosts names as they stand in addresses, with the port where it is not the usual one; none: pictures by
   *   address are off
   * @param allowed which addresses may be connected to; tests have no public ones
   */
  constructor(
    hosts: readonly string[] = [],
    resolve: Resolve = (host) => lookup(host, { all: true, verbatim: true }),
    allowed = isPublic,
  ) {
    this.#allowed = allowed;
    this.#hosts = new Set(hosts.map((host) => host.toLowerCase()));
    this.#resolve = resolve;
  }

  /** @throws ApiError that names the field, and says nothing of what is behind an address; the signal's reason */
  async read(url: string, param: string, limit: number, signal: AbortSignal): Promise<Uint8Array> {
    let target = url;
    const both = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const checked = this.#check(target, param);
      try {
        const address = await this.#address(checked, param, both);
        const answer = await get(checked, address, limit, both);
        if (answer instanceof Uint8Array) return answer;
        target = new URL(answer, checked).href;
      } catch (error) {
        signal.throwIfAborted();
        throw error instanceof ApiError ? error : failed(param);
      }
    }
    throw failed(param);
  }

  #check(text: string, param: string): URL {
    if (this.#hosts.size === 0) {
      throw invalid(
        param,
        "pictures by address are off; send the picture as data:image/...;base64,... (the server can be started with --allow-image-host)",
        "image_url_not_allowed",
      );
    }
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const web = url?.protocol === "https:" || url?.protocol === "http:";
    if (!url || !web || url.username !== "" || url.password !== "") {
      throw invalid(param, "expected a data URI, or an http(s) address without a user", "invalid_image_url");
    }
    // `host` has the port where it is not the usual one: a host that is trusted is not so on all its ports.
    if (!this.#hosts.has(url.host)) {
      throw invalid(param, "the server does not fetch pictures from this host", "image_url_not_allowed");
    }
    return url;
  }

  /** The one address that will be connected to. The system's resolver cannot be stopped: it is not waited for. */
  async #address({ hostname }: URL, param: string, signal: AbortSignal): Promise<Address> {
    const bare = hostname.replace(/^\[|\]$/g, "");
    const family = isIP(bare);
    const addresses = family > 0 ? [{ address: bare, family }] : await orAborted(this.#resolve(bare), signal);
    if (addresses.length === 0 || !addresses.every(this.#allowed)) {
      throw invalid(param, "the server does not fetch pictures from this host", "image_url_not_allowed");
    }
    return addresses[0];
  }
}

/** A picture's bytes, or where it has moved to. */
async function get(
  url: URL,
  { address, family }: Address,
  limit: number,
  signal: AbortSignal,
): Promise<Uint8Array | string> {
  const { Agent, fetch } = await import("undici");
  // The name is not resolved a second time: it might mean another address by then.
  const dispatcher = new Agent({
    connect: { lookup: (_host, _options, found) => found(null, [{ address, family }]) },
  });
  try {
    const response = await fetch(url, { redirect: "manual", dispatcher, signal });
    const location = response.headers.get("location");
    if (response.status >= 300 && response.status < 400 && location) return location;
    if (!response.ok || !response.body) throw new Error(`status ${response.status}`);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response.body) {
      size += chunk.length;
      if (size > limit) throw new Error("too large");
      chunks.push(chunk);
    }
    return new Uint8Array(Buffer.concat(chunks));
  } finally {
    await dispatcher.destroy();
  }
}

/** One sentence for all failures, so that nobody learns what answers where. */
function failed(param: string): ApiError {
  return invalid(param, "the picture could not be fetched", "image_fetch_failed");
}
