import { HubError } from "../base/errors.ts";
import { networkError, type Subject, safeUrl } from "./hub_errors.ts";

/** What is used of a response. `fetch` of browsers and of undici give it. */
export interface Answer {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: { getReader(): BodyReader } | null;
}

interface BodyReader {
  read(): Promise<{ done: boolean; value?: Uint8Array }>;
  cancel(): Promise<void>;
}

export interface RequestInit {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly redirect: "manual";
  readonly signal: AbortSignal;
}

export type Fetch = (url: string, init: RequestInit) => Promise<Answer>;

/** A try failed in a way that another one may not. `error` is what to throw where there is no other one. */
export class Transient extends Error {
  readonly error: HubError;
  /** How long the server asks to wait, in ms. */
  readonly retryAfter: number | undefined;

  constructor(error: HubError, retryAfter?: number) {
    super(error.message);
    this.error = error;
    this.retryAfter = retryAfter;
  }
}

/** A request that was answered well. Its body must be read to the end, or closed. */
export interface Exchange {
  readonly status: number;
  readonly headers: Answer["headers"];
  /** After redirects. */
  readonly url: string;
  /** The body, as it comes. @throws Transient where it is cut off or stalls */
  chunks(): AsyncGenerator<Uint8Array, void>;
  close(): Promise<void>;
}

/** Aborts a request when the caller does, or when nothing has happened for too long. */
export class Watch {
  readonly signal: AbortSignal;
  readonly #abort = new AbortController();
  readonly #stall: number;
  readonly #outer: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#abort.abort(this.#outer?.reason);
  #stalled = false;

  constructor(stall: number, outer: AbortSignal | undefined) {
    outer?.throwIfAborted();
    this.signal = this.#abort.signal;
    this.#stall = stall;
    this.#outer = outer;
    outer?.addEventListener("abort", this.#onAbort);
  }

  /** Waits for a part of the answer. @throws Transient, or the caller's reason */
  async guard<T>(url: string, subject: Subject | undefined, part: () => Promise<T>): Promise<T> {
    const timer = setTimeout(() => {
      this.#stalled = true;
      this.#abort.abort();
    }, this.#stall);
    try {
      return await part();
    } catch (cause) {
      this.#outer?.throwIfAborted();
      const error = networkError(url, cause, this.#stalled ? this.#stall : undefined, subject);
      throw isLasting(cause) ? error : new Transient(error);
    } finally {
      clearTimeout(timer);
    }
  }

  stop(): void {
    this.#outer?.removeEventListener("abort", this.#onAbort);
  }
}

/** What is left to do with an answer. */
export function exchangeOf(answer: Answer, url: string, watch: Watch): Exchange {
  const reader = answer.body?.getReader();
  const close = async (): Promise<void> => {
    watch.stop();
    await reader?.cancel().catch(() => {});
  };
  async function* chunks(): AsyncGenerator<Uint8Array, void> {
    try {
      for (;;) {
        const part = await watch.guard(url, undefined, async () => reader?.read());
        if (part === undefined || part.done) return;
        if (part.value !== undefined) yield part.value;
      }
    } finally {
      await close();
    }
  }
  return { status: answer.status, headers: answer.headers, url, chunks, close };
}

/** A body of at most `limit` bytes. */
export async function readAll(exchange: Exchange, limit: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of exchange.chunks()) {
    size += part.length;
    if (size > limit) {
      const url = safeUrl(exchange.url);
      throw new HubError(`${url}: the answer is longer than ${limit} bytes`, { url, expected: limit });
    }
    parts.push(part);
  }
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** Whether a failed connection will fail again: the certificate is not trusted, the address makes no sense. */
function isLasting(cause: unknown): boolean {
  for (let error = cause; error instanceof Error; error = error.cause) {
    const code = "code" in error ? String(error.code) : "";
    if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ERR_TLS|ERR_INVALID/.test(code)) return true;
  }
  return false;
}
