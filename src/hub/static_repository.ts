import { CheckpointError, HubError } from "../base/errors.ts";
import { BlockAccess, type ByteStore } from "./block_access.ts";
import { readAll } from "./exchange.ts";
import type { HubClient } from "./http.ts";
import type { Subject } from "./hub_errors.ts";
import { decodeText, parseJson, TEXT_LIMIT } from "./json.ts";
import { checkPath } from "./paths.ts";
import type { RandomAccess, Repository } from "./repository.ts";

/** Keeps nothing: a web server's files may change under their names. */
const NO_STORE: ByteStore = {
  get: async () => undefined,
  put: async () => {},
};

/** A file that is there. Servers that compress what they send do not tell the size of texts. */
interface Found {
  size: number | undefined;
}

/** A checkpoint whose files lie under an address of a web server, beside the page for example. */
export class StaticRepository implements Repository {
  readonly name: string;
  readonly #client: HubClient;
  readonly #signal: AbortSignal | undefined;
  readonly #found = new Map<string, Promise<Found | undefined>>();

  readonly #files: readonly string[] | undefined;

  /**
   * @param client one whose endpoint is the address of the folder
   * @param files its files, where they are known: no others are asked for
   */
  constructor(name: string, client: HubClient, signal?: AbortSignal, files?: readonly string[]) {
    this.#files = files;
    this.name = name;
    this.#client = client;
    this.#signal = signal;
  }

  async has(path: string): Promise<boolean> {
    return (await this.#find(path)) !== undefined;
  }

  async text(path: string): Promise<string> {
    await this.#findOrThrow(path);
    const bytes = await this.#client.retry(async () => {
      const exchange = await this.#client.exchange(this.#url(path), {
        subject: this.#subject(path),
        signal: this.#signal,
      });
      return readAll(exchange, TEXT_LIMIT);
    }, this.#signal);
    return decodeText(bytes, path);
  }

  async json(path: string): Promise<unknown> {
    return parseJson(await this.text(path), path);
  }

  async open(path: string): Promise<RandomAccess> {
    const { size } = await this.#findOrThrow(path);
    if (size === undefined) {
      throw new HubError(`${this.name}: the server does not tell the length of '${path}'`, {
        url: this.#url(path),
      });
    }
    const [client, url, subject, signal] = [this.#client, this.#url(path), this.#subject(path), this.#signal];
    return new BlockAccess({ client, url, subject, size, store: NO_STORE, signal });
  }

  /** A web server does not tell which files it has: those that were asked for, and are there. */
  async list(): Promise<string[]> {
    const known = await Promise.all(
      [...this.#found].map(async ([path, found]) => ({ path, found: await found })),
    );
    return known.filter(({ found }) => found !== undefined).map(({ path }) => path);
  }

  #url(path: string): string {
    return `${this.#client.endpoint}/${checkPath(path, this.name).split("/").map(encodeURIComponent).join("/")}`;
  }

  #subject(path: string): Subject {
    return { id: this.name, revision: "", path };
  }

  #find(path: string): Promise<Found | undefined> {
    const url = this.#url(path);
    if (this.#files && !this.#files.includes(path)) return Promise.resolve(undefined);
    let found = this.#found.get(path);
    if (found === undefined) {
      found = this.#ask(url, path);
      this.#found.set(path, found);
      found.catch(() => this.#found.delete(path));
    }
    return found;
  }

  async #ask(url: string, path: string): Promise<Found | undefined> {
    try {
      return await this.#client.retry(async () => {
        const subject = this.#subject(path);
        const exchange = await this.#client.exchange(url, { method: "HEAD", subject, signal: this.#signal });
        await exchange.close();
        const length = Number(exchange.headers.get("content-length") ?? Number.NaN);
        return { size: Number.isSafeInteger(length) ? length : undefined };
      }, this.#signal);
    } catch (error) {
      if (error instanceof HubError && error.status === 404) return undefined;
      throw error;
    }
  }

  async #findOrThrow(path: string): Promise<Found> {
    const found = await this.#find(path);
    if (found !== undefined) return found;
    throw new CheckpointError(`${this.name}: there is no file '${path}'`, { file: path, where: this.name });
  }
}
