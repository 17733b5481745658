import { HubError } from "../base/errors.ts";
import { type Answer, type Exchange, exchangeOf, type Fetch, readAll, Transient, Watch } from "./exchange.ts";
import { responseError, type Subject, safeUrl } from "./hub_errors.ts";
import { decodeText } from "./json.ts";

/** How long to wait and how often to try. Times are milliseconds. */
export interface Patience {
  /** Tries in a row that bring nothing. */
  readonly attempts: number;
  /** Before the second try; doubled for each further one. */
  readonly firstDelay: number;
  readonly longestDelay: number;
  /** The longest wait that a server may ask for; where it asks for more, the request fails. */
  readonly longestRetryAfter: number;
  /** Without a byte. */
  readonly stall: number;
}

export const PATIENCE: Patience = {
  attempts: 5,
  firstDelay: 500,
  longestDelay: 10_000,
  longestRetryAfter: 120_000,
  stall: 20_000,
};

export interface ExchangeOptions {
  method?: "GET" | "HEAD";
  headers?: Record<string, string>;
  /** What is asked for, for messages. */
  subject: Subject;
  signal?: AbortSignal;
  /** Gives a redirect to another host back instead of following it. */
  stay?: boolean;
}

const REDIRECTS = [301, 302, 303, 307, 308];
const RETRIED = [408, 425, 429, 500, 502, 503, 504];
const MOST_REDIRECTS = 5;

/** Makes requests to one Hub. */
export class HubClient {
  /** As in `https://huggingface.co`, without a slash at the end. */
  readonly endpoint: string;
  readonly patience: Patience;
  readonly #token: string | undefined;
  readonly #fetch: Fetch;

  constructor(endpoint: string, token: string | undefined, fetch: Fetch, patience: Patience = PATIENCE) {
    this.endpoint = endpoint;
    this.patience = patience;
    this.#token = token;
    this.#fetch = fetch;
  }

  /** Whether requests carry a token. */
  get hasToken(): boolean {
    return this.#token !== undefined;
  }

  /**
   * One request, tried once. Follows redirects; the token goes to the Hub's own host only.
   *
   * @throws Transient where trying again may help, HubError where not, `signal.reason` where it is aborted
   */
  async exchange(url: string, options: ExchangeOptions): Promise<Exchange> {
    const watch = new Watch(this.patience.stall, options.signal);
    try {
      let target = url;
      for (let hop = 0; hop <= MOST_REDIRECTS; hop++) {
        const answer = await this.#send(target, options, watch);
        const location = REDIRECTS.includes(answer.status) ? answer.headers.get("location") : null;
        const next = location === null ? undefined : redirectTarget(location, target);
        if (next !== undefined && !(options.stay && originOf(next) !== originOf(target))) {
          await discard(answer);
          target = next;
          continue;
        }
        if (answer.status >= 400) {
          await discard(answer);
          throw this.#failure(answer, target, options.subject);
        }
        return exchangeOf(answer, target, watch);
      }
      throw new HubError(`${safeUrl(url)}: redirected more than ${MOST_REDIRECTS} times`, {
        url: safeUrl(url),
      });
    } catch (error) {
      watch.stop();
      throw error;
    }
  }

  /** JSON, whole and with retries. At most `limit` bytes are read. */
  json(
    url: string,
    options: ExchangeOptions & { limit: number; attempts?: number },
  ): Promise<{
    value: unknown;
    headers: Answer["headers"];
  }> {
    return this.retry(
      async () => {
        const exchange = await this.exchange(url, options);
        const bytes = await readAll(exchange, options.limit);
        try {
          return { value: JSON.parse(decodeText(bytes, safeUrl(url))), headers: exchange.headers };
        } catch (cause) {
          const message = `${safeUrl(url)}: the answer is not JSON. Is HF_ENDPOINT a Hugging Face Hub, and no log-in page or proxy in between?`;
          throw new HubError(message, { url: safeUrl(url), status: exchange.status, cause });
        }
      },
      options.signal,
      options.attempts,
    );
  }

  /**
   * Does something until it does not throw Transient, waiting longer each time.
   *
   * @param attempt tells by calling `progress` that it got somewhere, which starts the count of tries anew
   */
  async retry<T>(
    attempt: (progress: () => void) => Promise<T>,
    signal?: AbortSignal,
    attempts = this.patience.attempts,
  ): Promise<T> {
    for (let failures = 0; ; ) {
      signal?.throwIfAborted();
      try {
        return await attempt(() => {
          failures = 0;
        });
      } catch (error) {
        if (!(error instanceof Transient)) throw error;
        failures++;
        const wait = error.retryAfter ?? this.#delay(failures);
        if (failures >= attempts || wait > this.patience.longestRetryAfter) throw error.error;
        await sleep(wait, signal);
      }
    }
  }

  /** Doubled each time, and between a half and the whole of that by chance, so that clients do not come in step. */
  #delay(failures: number): number {
    const { firstDelay, longestDelay } = this.patience;
    return Math.min(longestDelay, firstDelay * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
  }

  async #send(
    url: string,
    { method = "GET", headers, subject }: ExchangeOptions,
    watch: Watch,
  ): Promise<Answer> {
    // Without 'identity' a server may compress, and lengths and ranges would be those of the compressed bytes.
    const all: Record<string, string> = { "user-agent": "llava", "accept-encoding": "identity", ...headers };
    if (this.#token !== undefined && originOf(url) === originOf(this.endpoint)) {
      all.authorization = `Bearer ${this.#token}`;
    }
    return watch.guard(url, subject, () =>
      this.#fetch(url, { method, headers: all, redirect: "manual", signal: watch.signal }),
    );
  }

  #failure(answer: Answer, url: string, subject: Subject): Error {
    const error = responseError(answer, url, subject, this);
    // Addresses of files on other hosts are signed and run out: the Hub gives a new one.
    const elsewhere = originOf(url) !== originOf(this.endpoint);
    return RETRIED.includes(answer.status) || elsewhere ? new Transient(error, retryAfter(answer)) : error;
  }
}

async function discard(answer: Answer): Promise<void> {
  await answer.body
    ?.getReader()
    .cancel()
    .catch(() => {});
}

/** @throws HubError where a redirect leads to something else than the web, or from HTTPS to HTTP */
function redirectTarget(location: string, from: string): string {
  const target = URL.canParse(location, from) ? new URL(location, from) : undefined;
  const safe = target?.protocol === "https:" || (target?.protocol === "http:" && from.startsWith("http:"));
  if (target === undefined || !safe) {
    throw new HubError(`${safeUrl(from)}: redirects to an address that is not allowed`, {
      url: safeUrl(from),
    });
  }
  return target.href;
}

function originOf(url: string): string {
  return new URL(url).origin;
}

/** How long the server asks to wait, in ms: `Retry-After` in seconds or as a date, or the Hub's `RateLimit`. */
function retryAfter({ status, headers }: Answer): number | undefined {
  const value = headers.get("retry-after");
  if (value !== null) {
    const wait = /^\s*\d+\s*$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
    return Number.isNaN(wait) ? undefined : Math.max(0, wait);
  }
  const limit =
    status === 429 ? /;\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d+)/.exec(headers.get("ratelimit") ?? "") : null;
  return limit === null ? undefined : Number(limit[1]) * 1000;
}

/** @throws `signal.reason` where it is aborted meanwhile */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
  });
}
