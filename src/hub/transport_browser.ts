import type { Fetch } from "./exchange.ts";

/**
 * The function that makes requests in a browser, which sets its own user agent and encoding, follows redirects
 * itself, and leaves the token behind when one leads to another host.
 */
export function createFetch(): Fetch {
  return (url, init) => {
    const { "user-agent": _, "accept-encoding": __, ...headers } = init.headers;
    return fetch(url, { method: init.method, headers, signal: init.signal, redirect: "follow" });
  };
}
