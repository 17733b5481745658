import { createHash, timingSafeEqual } from "node:crypto";
import { ApiError } from "./errors.ts";

/** @throws ApiError 401 where the key is missing or wrong */
export function checkKey(request: Request, key: string): void {
  const given = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
  // Hashes are of one length, and take the same time to compare whatever is in them.
  const hash = (text: string): Buffer => createHash("sha256").update(text).digest();
  if (timingSafeEqual(hash(given), hash(key))) return;
  throw new ApiError(401, "This server asks for a key: send it as Authorization: Bearer KEY.", {
    type: "authentication_error",
    code: "invalid_api_key",
    headers: { "WWW-Authenticate": "Bearer" },
  });
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i;

/**
 * A page from elsewhere can point its own name at this machine, and would then count as ours in a browser.
 *
 * @throws ApiError 403 where a server for this machine alone is asked for under another name
 */
export function checkHost(request: Request): void {
  const host = request.headers.get("host") ?? new URL(request.url).host;
  if (LOOPBACK.test(host)) return;
  throw new ApiError(403, "This server is for its own machine: ask for it as localhost or 127.0.0.1.", {
    type: "permission_error",
    code: "host_not_allowed",
  });
}

/** Whether only this machine can reach an address. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host) || host === "::1";
}
