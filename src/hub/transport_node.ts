import type { Fetch } from "./exchange.ts";

/**
 * The function that makes requests, through the proxies that `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` (or their
 * lower-case forms, which go first) name.
 */
export function createFetch(environment: Readonly<Record<string, string | undefined>>): Fetch {
  const variable = (name: string): string => environment[name.toLowerCase()] ?? environment[name] ?? "";
  let ready: Promise<Fetch> | undefined;
  const prepare = async (): Promise<Fetch> => {
    const { EnvHttpProxyAgent, fetch } = await import("undici");
    const dispatcher = new EnvHttpProxyAgent({
      httpProxy: variable("HTTP_PROXY"),
      httpsProxy: variable("HTTPS_PROXY"),
      noProxy: variable("NO_PROXY"),
    });
    return (url, init) => fetch(url, { ...init, dispatcher });
  };
  return async (url, init) => {
    ready ??= prepare();
    return (await ready)(url, init);
  };
}
