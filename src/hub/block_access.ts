import { HubError } from "../base/errors.ts";
import { Transient } from "./exchange.ts";
import type { HubClient } from "./http.ts";
import { nameOf, type Subject, safeUrl } from "./hub_errors.ts";
import type { RandomAccess } from "./repository.ts";

/** Keeps bytes under names, so that they need not be downloaded again. May forget. */
export interface ByteStore {
  get(key: string): Promise<Uint8Array | undefined>;
  put(key: string, bytes: Uint8Array): Promise<void>;
}

/** Bytes that are fetched and kept at a time. */
export const BLOCK = 8 * 2 ** 20;
/** Blocks that are fetched at a time. */
const PARALLEL = 4;

export interface BlockAccessOptions {
  readonly client: HubClient;
  readonly url: string;
  readonly subject: Subject;
  readonly size: number;
  readonly store: ByteStore;
  readonly block?: number;
  readonly signal?: AbortSignal;
  /** Called with the bytes that have been read so far. */
  readonly progress?: (loaded: number) => void;
}

/**
 * A file on a web server, of which parts are fetched as they are asked for: in blocks, so that many small tensors
 * cost few requests and what is kept does not depend on how a file is read. Used where there is no disk. The hash of
 * the whole is not checked, as the whole is never there.
 */
export class BlockAccess implements RandomAccess {
  readonly size: number;
  readonly #options: BlockAccessOptions;
  readonly #block: number;
  /** The block that was read last: the next tensor often begins in it. */
  #last: { index: number; bytes: Promise<Uint8Array> } | undefined;
  #loaded = 0;

  constructor(options: BlockAccessOptions) {
    this.size = options.size;
    this.#options = options;
    this.#block = options.block ?? BLOCK;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.size)) {
      const message = `${nameOf(this.#options.subject)}: bytes up to ${offset + length} were asked for, the file has ${this.size}`;
      throw new HubError(message, { expected: offset + length, got: this.size });
    }
    const out = new Uint8Array(length);
    if (length === 0) return out;
    const last = Math.ceil((offset + length) / this.#block);
    let next = Math.floor(offset / this.#block);
    const work = async (): Promise<void> => {
      while (next < last) {
        const index = next++;
        const bytes = await this.#get(index, index === last - 1);
        const begin = index * this.#block;
        const from = Math.max(offset, begin);
        const part = bytes.subarray(from - begin, Math.min(offset + length - begin, bytes.length));
        out.set(part, from - offset);
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, work));
    return out;
  }

  async close(): Promise<void> {
    this.#last = undefined;
  }

  /** A block; `keep` where the next read may need it, too. */
  #get(index: number, keep: boolean): Promise<Uint8Array> {
    if (this.#last?.index === index) return this.#last.bytes;
    const bytes = this.#load(index);
    if (keep) {
      this.#last = { index, bytes };
      bytes.catch(() => {
        if (this.#last?.bytes === bytes) this.#last = undefined;
      });
    }
    return bytes;
  }

  async #load(index: number): Promise<Uint8Array> {
    const { store, url, progress } = this.#options;
    const begin = index * this.#block;
    const end = Math.min(begin + this.#block, this.size);
    const key = `${url}?bytes=${begin}-${end - 1}`;
    const kept = await store.get(key);
    const bytes = kept?.length === end - begin ? kept : await this.#fetch(begin, end);
    if (bytes !== kept) await store.put(key, bytes);
    this.#loaded = Math.min(this.size, this.#loaded + bytes.length);
    progress?.(this.#loaded);
    return bytes;
  }

  async #fetch(begin: number, end: number): Promise<Uint8Array> {
    const { client, url, subject, signal } = this.#options;
    const bytes = new Uint8Array(end - begin);
    let done = 0;
    await client.retry(async (advanced) => {
      const range = `bytes=${begin + done}-${end - 1}`;
      const exchange = await client.exchange(url, { headers: { range }, subject, signal });
      const bad = (what: string): Transient =>
        new Transient(
          new HubError(`${nameOf(subject)}: ${new URL(exchange.url).host} ${what}`, {
            url: safeUrl(exchange.url),
          }),
        );
      try {
        const whole = begin + done === 0 && end === this.size;
        if (exchange.status !== 206 && !whole) throw bad("does not send parts of files");
        // Not every server lets a page of another origin see this header.
        const told = /^bytes (\d+)-/.exec(exchange.headers.get("content-range") ?? "");
        if (told !== null && Number(told[1]) !== begin + done)
          throw bad("sends other bytes than were asked for");
        for await (const part of exchange.chunks()) {
          if (done + part.length > bytes.length) throw bad("sends more bytes than were asked for");
          bytes.set(part, done);
          done += part.length;
          advanced();
        }
        if (done < bytes.length) throw bad(`broke off at byte ${begin + done} of ${end}`);
      } finally {
        await exchange.close();
      }
    }, signal);
    return bytes;
  }
}
