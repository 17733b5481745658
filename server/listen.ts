import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { serve } from "@hono/node-server";
import type { Service } from "./service.ts";

export interface ListenOptions {
  host: string;
  port: number;
}

/** A server that answers on a port. */
export interface Listening {
  url: string;
  /** Takes no new requests, waits for those that run at most `graceMs`, ends them then. Resolves in any case. */
  close(graceMs: number): Promise<void>;
}

/** Time that a response has to tell its client that the server is shutting down. */
const LAST_WORDS_MS = 500;

/** Opens the port. @throws where it cannot be had */
export async function listen(
  service: Service,
  fetch: (request: Request) => Response | Promise<Response>,
  { host, port }: ListenOptions,
): Promise<Listening> {
  const server = await open(fetch, host, port);
  const { port: actual } = server.address() as AddressInfo;
  const name = host.includes(":") ? `[${host}]` : host;
  return { url: `http://${name}:${actual}`, close: (graceMs) => close(service, server, graceMs) };
}

function open(
  fetch: (request: Request) => Response | Promise<Response>,
  hostname: string,
  port: number,
): Promise<Server> {
  return new Promise((resolve, reject) => {
    // Puts a Response in the place of the process's own that goes to the socket without a web stream.
    const server = serve({ fetch, hostname, port }, () => {
      server.off("error", reject);
      resolve(server as Server);
    });
    server.once("error", reject);
  });
}

async function close(service: Service, server: Server, graceMs: number): Promise<void> {
  service.close();
  // A connection would otherwise be kept alive after its last response, and hold the server.
  server.keepAliveTimeout = 1;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const late = setTimeout(() => {
    service.abort();
    setTimeout(() => server.closeAllConnections(), LAST_WORDS_MS);
  }, graceMs);
  await closed;
  clearTimeout(late);
}
