import { readFile } from "node:fs/promises";
import { ApiError } from "./errors.ts";

/** The chat page's files, by address. The scripts are compiled. */
const FILES: Readonly<Record<string, { file: string; type: string }>> = {
  "/": { file: "index.html", type: "text/html; charset=utf-8" },
  "/page.css": { file: "page.css", type: "text/css; charset=utf-8" },
  "/page.js": { file: "page.js", type: "text/javascript; charset=utf-8" },
  "/client.js": { file: "client.js", type: "text/javascript; charset=utf-8" },
  "/view.js": { file: "view.js", type: "text/javascript; charset=utf-8" },
  "/icon.svg": { file: "icon.svg", type: "image/svg+xml" },
};

export const PAGE_PATHS: readonly string[] = Object.keys(FILES);

/** Nothing but what the page is made of, no network but the server itself. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * One of the page's files.
 *
 * @param folder where they lie
 */
export async function pageFile(path: string, folder: URL): Promise<Response> {
  const { file, type } = FILES[path];
  try {
    return new Response(new Uint8Array(await readFile(new URL(file, folder))), {
      headers: {
        "Content-Type": type,
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
      },
    });
  } catch {
    throw new ApiError(404, "The chat page has not been built: npm run build.", { code: "not_found" });
  }
}
