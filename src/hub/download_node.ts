import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { rename } from "node:fs/promises";
import { HubError } from "../base/errors.ts";
import { type Exchange, Transient } from "./exchange.ts";
import type { HubClient } from "./http.ts";
import { fileUrl, isHash, type RemoteFile } from "./hub_api.ts";
import { nameOf, type Subject, safeUrl } from "./hub_errors.ts";
import { PartialFile } from "./partial_node.ts";
import type { Range } from "./ranges.ts";

/** How large files are cut. */
export interface Slicing {
  /** Bytes of one request. */
  readonly piece: number;
  /** Requests at a time. */
  readonly parallel: number;
}

export const SLICING: Slicing = { piece: 32 * 2 ** 20, parallel: 4 };

export interface DownloadJob {
  readonly client: HubClient;
  readonly subject: Subject & { path: string };
  readonly file: RemoteFile;
  /** Where it is put together. */
  readonly partial: string;
  /** Where it goes when it is whole and right. */
  readonly target: string;
  readonly slicing: Slicing;
  readonly signal?: AbortSignal;
  /** Called with the bytes that are there. */
  readonly progress: (loaded: number) => void;
}

/** What has arrived cannot become the file. Another beginning may help; where not, `error` is what to throw. */
class Restart extends Error {
  readonly error: HubError;
  /** The server does not send parts of files. */
  readonly withoutRanges: boolean;

  constructor(error: HubError, withoutRanges = false) {
    super(error.message);
    this.error = error;
    this.withoutRanges = withoutRanges;
  }
}

/**
 * Downloads a file, goes on with what a former try left, checks its hash, and only then gives it its name.
 *
 * @throws HubError where it cannot be had, or is not what the Hub says it is; `signal.reason` where aborted.
 * What has arrived by then stays for the next try.
 */
export async function download(job: DownloadJob): Promise<void> {
  let last: Restart | undefined;
  // The second round is for bytes, perhaps those of a former process, that turn out to be wrong.
  for (let round = 0; round < 2; round++) {
    try {
      await new Download(job, last?.withoutRanges ?? false).run();
      await rename(job.partial, job.target);
      await PartialFile.remove(job.partial);
      return;
    } catch (error) {
      if (!(error instanceof Restart)) throw error;
      last = error;
      await PartialFile.remove(job.partial);
    }
  }
  throw last?.error;
}

class Download {
  readonly #job: DownloadJob;
  readonly #withoutRanges: boolean;
  readonly #abort = new AbortController();
  #pieces: Range[] = [];

  constructor(job: DownloadJob, withoutRanges: boolean) {
    this.#job = job;
    this.#withoutRanges = withoutRanges;
  }

  async run(): Promise<void> {
    const { partial, file, signal, progress } = this.#job;
    const onAbort = (): void => this.#abort.abort(signal?.reason);
    const out = await PartialFile.open(partial, file.size);
    try {
      signal?.throwIfAborted();
      signal?.addEventListener("abort", onAbort);
      progress(out.done.bytes);
      await this.#fetchMissing(out);
      await out.flush();
      await this.#verify();
    } finally {
      signal?.removeEventListener("abort", onAbort);
      await out.close();
    }
  }

  async #fetchMissing(out: PartialFile): Promise<void> {
    const { piece, parallel } = this.#job.slicing;
    this.#pieces = this.#withoutRanges ? [[0, out.size]] : out.done.missing(out.size, piece);
    const failures: unknown[] = [];
    const workers: Promise<void>[] = [];
    const start = (): void => {
      const work = this.#work(out, () => {
        // The first answer has shown that the server sends parts.
        while (workers.length < parallel && this.#pieces.length > 0) start();
      });
      workers.push(
        work.catch((error: unknown) => {
          failures.push(error);
          this.#abort.abort(error);
        }),
      );
    };
    start();
    for (let i = 0; i < workers.length; i++) await workers[i];
    if (failures.length > 0) throw failures[0];
  }

  async #work(out: PartialFile, onPart: () => void): Promise<void> {
    for (let piece = this.#pieces.shift(); piece !== undefined; piece = this.#pieces.shift()) {
      await this.#fetchPiece(out, piece, onPart);
    }
  }

  async #fetchPiece(out: PartialFile, piece: Range, onPart: () => void): Promise<void> {
    const { client } = this.#job;
    let [at, end] = piece;
    await client.retry(async (advanced) => {
      if (this.#withoutRanges) {
        out.done.clear();
        at = 0;
      }
      const exchange = await this.#request(out, at, end);
      try {
        const upTo = this.#expect(exchange, out, at, end);
        end = Math.max(end, upTo);
        if (exchange.status === 206) onPart();
        for await (const bytes of exchange.chunks()) {
          if (at + bytes.length > upTo)
            throw this.#badAnswer(exchange, "sends more bytes than were asked for");
          await out.write(bytes, at);
          at += bytes.length;
          this.#job.progress(out.done.bytes);
          if (!this.#withoutRanges) advanced();
        }
        if (at < end) throw this.#badAnswer(exchange, `broke off at byte ${at} of ${end}`);
      } finally {
        await exchange.close();
      }
    }, this.#abort.signal);
  }

  #request(out: PartialFile, at: number, end: number): Promise<Exchange> {
    const { client, subject } = this.#job;
    const headers: Record<string, string> = {};
    if (at > 0 || end < out.size) {
      headers.range = `bytes=${at}-${end - 1}`;
      if (out.validator !== undefined) headers["if-range"] = out.validator;
    }
    return client.exchange(fileUrl(client.endpoint, subject), {
      headers,
      subject,
      signal: this.#abort.signal,
    });
  }

  /** Where the body of an answer to the request of these bytes ends. */
  #expect(exchange: Exchange, out: PartialFile, at: number, end: number): number {
    const { status, headers } = exchange;
    const compressed = (headers.get("content-encoding") ?? "identity") !== "identity";
    if (status === 206 && !compressed) {
      const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers.get("content-range") ?? "");
      const [from, to, total] = (range ?? []).slice(1).map(Number);
      if (from !== at || to >= end || to < from)
        throw this.#badAnswer(exchange, "sends other bytes than were asked for");
      this.#checkSize(exchange, total, out.size);
      this.#checkValidator(exchange, out);
      return to + 1;
    }
    if (status !== 200) throw this.#badAnswer(exchange, "sends no bytes that can be used");
    const length = headers.get("content-length");
    if (length !== null && !compressed) this.#checkSize(exchange, Number(length), out.size);
    if (at > 0 || out.done.bytes > 0) {
      // The whole file in answer to a part: the server knows no parts, or the file is not the one that was begun.
      throw new Restart(
        this.#badAnswer(exchange, "sends the whole file where a part was asked for").error,
        true,
      );
    }
    this.#pieces = end < out.size ? [] : this.#pieces;
    return out.size;
  }

  #checkSize(exchange: Exchange, got: number, expected: number): void {
    if (Number.isNaN(got) || got === expected) return;
    throw this.#badAnswer(exchange, `has ${got} bytes of it where the Hub's list says ${expected}`);
  }

  /** All parts must be of one version. */
  #checkValidator(exchange: Exchange, out: PartialFile): void {
    const etag = exchange.headers.get("etag");
    if (etag === null || etag.startsWith("W/")) return;
    out.validator ??= etag;
    if (out.validator !== etag)
      throw new Restart(this.#badAnswer(exchange, "changed the file meanwhile").error);
  }

  #badAnswer(exchange: Exchange, what: string): Transient {
    const url = safeUrl(exchange.url);
    const message = `${nameOf(this.#job.subject)}: ${new URL(url).host} ${what}. Try again, or look at the proxy in between.`;
    return new Transient(
      new HubError(message, { url, status: exchange.status, where: this.#job.subject.path }),
    );
  }

  async #verify(): Promise<void> {
    const { file, partial, subject, client } = this.#job;
    if (!isHash(file.etag)) return;
    const got = await hashFile(partial, file, this.#abort.signal);
    if (got === file.etag) return;
    const message = `${nameOf(subject)}: damaged in transfer: its hash is ${got}, the Hub's list says ${file.etag}. Nothing of it was kept; try again.`;
    const url = safeUrl(fileUrl(client.endpoint, subject));
    throw new Restart(new HubError(message, { url, where: subject.path, expected: file.etag, got }));
  }
}

/** A file's content as the Hub names it: SHA-256, or SHA-1 in git's way, as long as the name that is expected. */
async function hashFile(path: string, file: RemoteFile, signal: AbortSignal): Promise<string> {
  const isSha256 = file.etag.length === 64;
  const hash = createHash(isSha256 ? "sha256" : "sha1");
  if (!isSha256) hash.update(`blob ${file.size}\0`);
  for await (const bytes of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    signal.throwIfAborted();
    hash.update(bytes as Buffer);
  }
  return hash.digest("hex");
}
