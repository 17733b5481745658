import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { HubClient, type Patience } from "../../src/hub/http.ts";
import type { HubSettings } from "../../src/hub/settings_node.ts";
import { createFetch } from "../../src/hub/transport_node.ts";

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";
export const OLD_COMMIT = "89abcdef0123456789abcdef0123456789abcdef";

/** Waits for no longer than a test can. */
export const PATIENCE: Patience = {
  attempts: 3,
  firstDelay: 2,
  longestDelay: 8,
  longestRetryAfter: 500,
  // Longer than a busy machine needs for an answer. Tests of stalls take less.
  stall: 5000,
};
export const PIECE = 64 * 1024;

/** Answers a request in place of the mock; false leaves it to the next. */
export type Hook = (request: IncomingMessage, response: ServerResponse, url: URL) => boolean;

export type SettingsChanges = Partial<HubSettings> & { token?: string; patience?: Partial<Patience> };

interface Served {
  bytes: Buffer;
  /** Large files lie on another host, and are named by SHA-256. */
  lfs: boolean;
}

/** Repeatable bytes without a pattern. */
export function noise(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** A Hub with one model, `org/model`, and a second host that large files lie on. */
export class MockHub {
  readonly files = new Map<string, Served>();
  readonly refs = new Map([["main", COMMIT]]);
  /** Tried in order before the usual answer, on both hosts. */
  hooks: Hook[] = [];
  /** `GET /path`, with the range where one is asked for. */
  log: string[] = [];
  /** What was sent as `Authorization` to either host. */
  tokens = { hub: new Set<string>(), storage: new Set<string>() };
  readonly #hub: Server;
  readonly #storage: Server;

  private constructor() {
    this.#hub = createServer((request, response) => this.#serve(request, response, "hub"));
    this.#storage = createServer((request, response) => this.#serve(request, response, "storage"));
  }

  static async start(): Promise<MockHub> {
    const mock = new MockHub();
    for (const server of [mock.#hub, mock.#storage]) {
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    }
    return mock;
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  /** As it was at the start. */
  reset(): void {
    this.files.clear();
    this.refs.clear();
    this.refs.set("main", COMMIT);
    this.hooks = [];
    this.log = [];
    this.tokens = { hub: new Set(), storage: new Set() };
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  get storage(): string {
    return `http://127.0.0.1:${(this.#storage.address() as AddressInfo).port}`;
  }

  add(path: string, content: string | Uint8Array, lfs = false): Buffer {
    const bytes = Buffer.from(content);
    this.files.set(path, { bytes, lfs });
    return bytes;
  }

  settings(cacheDir: string, changes: SettingsChanges = {}): HubSettings {
    const { token, patience, ...rest } = changes;
    const fetch = createFetch({ HTTP_PROXY: "", HTTPS_PROXY: "", NO_PROXY: "" });
    return {
      client: new HubClient(this.endpoint, token, fetch, { ...PATIENCE, ...patience }),
      cacheDir,
      offline: undefined,
      symlinks: true,
      slicing: { piece: PIECE, parallel: 4 },
      lock: { poll: 5, stale: 2000 },
      ...rest,
    };
  }

  #serve(request: IncomingMessage, response: ServerResponse, host: "hub" | "storage"): void {
    const url = new URL(request.url ?? "/", host === "hub" ? this.endpoint : this.storage);
    const range = request.headers.range === undefined ? "" : ` ${request.headers.range}`;
    this.log.push(`${request.method} ${url.pathname}${range}`);
    if (request.headers.authorization !== undefined) this.tokens[host].add(request.headers.authorization);
    if (this.hooks.some((hook) => hook(request, response, url))) return;
    if (host === "storage") this.#storageAnswer(request, response, url);
    else this.#hubAnswer(request, response, url);
  }

  #hubAnswer(request: IncomingMessage, response: ServerResponse, url: URL): unknown {
    const api = /^\/api\/models\/(.+)\/revision\/([^/]+)$/.exec(url.pathname);
    const resolve = /^\/(.+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname);
    const [, id, name, path] = api ?? resolve ?? [];
    if (id !== "org/model") return refuse(response, 401, "RepoNotFound", "Invalid username or password.");
    const revision = decodeURIComponent(name);
    const commit = this.refs.get(revision) ?? [...this.refs.values()].find((sha) => sha === revision);
    if (commit === undefined) return refuse(response, 404, "RevisionNotFound", `Invalid rev id: ${revision}`);
    if (api !== null)
      return json(response, { id, sha: commit, siblings: this.#siblings(url.searchParams.has("blobs")) });
    const file = this.files.get(decodeURIComponent(path));
    if (file === undefined) return refuse(response, 404, "EntryNotFound", "Entry not found");
    response.setHeader("x-repo-commit", commit);
    if (!file.lfs) return send(request, response, file);
    response.setHeader("x-linked-etag", `"${etagOf(file)}"`);
    response.setHeader("x-linked-size", file.bytes.length);
    response.setHeader("location", `${this.storage}/${path}?signature=secret-signature`);
    return response.writeHead(302).end();
  }

  #storageAnswer(request: IncomingMessage, response: ServerResponse, url: URL): unknown {
    const file = this.files.get(decodeURIComponent(url.pathname.slice(1)));
    if (file === undefined || !url.searchParams.has("signature")) return refuse(response, 403);
    return send(request, response, file);
  }

  #siblings(blobs: boolean): object[] {
    return [...this.files].map(([rfilename, file]) => {
      if (!blobs) return { rfilename };
      const size = file.bytes.length;
      const pointer = { rfilename, size, blobId: gitSha1(Buffer.from("version https://git-lfs")) };
      if (file.lfs) return { ...pointer, lfs: { sha256: etagOf(file), size, pointerSize: 134 } };
      return { rfilename, size, blobId: etagOf(file) };
    });
  }
}

/** The name of a file's content in the cache. */
export function etagOf({ bytes, lfs }: Served): string {
  return lfs ? createHash("sha256").update(bytes).digest("hex") : gitSha1(bytes);
}

function gitSha1(bytes: Buffer): string {
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}

/** Bytes, or the part of them that is asked for, under a strong ETag. */
export function send(request: IncomingMessage, response: ServerResponse, file: Served): void {
  const etag = `"${etagOf(file)}"`;
  response.setHeader("etag", etag);
  response.setHeader("accept-ranges", "bytes");
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  const condition = request.headers["if-range"];
  const [from, to] = range === null ? [0, file.bytes.length - 1] : range.slice(1).map(Number);
  if (range === null || (condition !== undefined && condition !== etag)) {
    response.writeHead(200, { "content-length": file.bytes.length });
    response.end(request.method === "HEAD" ? undefined : file.bytes);
    return;
  }
  const part = file.bytes.subarray(from, to + 1);
  const contentRange = `bytes ${from}-${from + part.length - 1}/${file.bytes.length}`;
  response.writeHead(206, { "content-length": part.length, "content-range": contentRange });
  response.end(request.method === "HEAD" ? undefined : part);
}

export function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

export function refuse(response: ServerResponse, status: number, code?: string, message?: string): void {
  if (code !== undefined) response.setHeader("x-error-code", code);
  if (message !== undefined) response.setHeader("x-error-message", message);
  response.writeHead(status).end("<html>an error page</html>");
}

/** A hook that acts the first `count` times on requests whose path matches. */
export function onPath(
  pattern: RegExp,
  act: Hook | ((...args: Parameters<Hook>) => void),
  count = Infinity,
): Hook {
  let left = count;
  return (request, response, url) => {
    if (left <= 0 || !pattern.test(url.pathname)) return false;
    if (act(request, response, url) === false) return false;
    left--;
    return true;
  };
}
