import { CheckpointError } from "../base/errors.ts";
import { BlockAccess, type ByteStore } from "./block_access.ts";
import { readAll } from "./exchange.ts";
import type { HubClient } from "./http.ts";
import { fetchFileInfo, fetchRevision, fileUrl, type RemoteFile, type RemoteRevision } from "./hub_api.ts";
import { missingFile, type Subject } from "./hub_errors.ts";
import { decodeText, parseJson, TEXT_LIMIT } from "./json.ts";
import { checkPath } from "./paths.ts";
import type { HubOptions, RandomAccess, Repository } from "./repository.ts";

/** A model of the Hub where there is no disk: in a browser. Files are kept in the browser's own store. */
export class WebRepository implements Repository {
  readonly name: string;
  readonly #client: HubClient;
  readonly #store: ByteStore;
  readonly #options: HubOptions;
  readonly #remote: RemoteRevision;
  readonly #prefix: string;

  private constructor(
    name: string,
    client: HubClient,
    store: ByteStore,
    options: HubOptions,
    remote: RemoteRevision,
  ) {
    this.name = name;
    this.#client = client;
    this.#store = store;
    this.#options = options;
    this.#remote = remote;
    this.#prefix = options.subfolder ? `${options.subfolder.replace(/\/$/, "")}/` : "";
  }

  /** @throws HubError where the model or the revision cannot be had */
  static async open(
    id: string,
    options: HubOptions,
    client: HubClient,
    store: ByteStore,
  ): Promise<WebRepository> {
    const subject = { id, revision: options.revision ?? "main" };
    const remote = await fetchRevision(client, subject, { signal: options.signal });
    return new WebRepository(id, client, store, options, remote);
  }

  async has(path: string): Promise<boolean> {
    return this.#remote.files.has(this.#full(path));
  }

  async text(path: string): Promise<string> {
    const { url, subject } = this.#place(path);
    const file = await this.#describe(path);
    if (file.size > TEXT_LIMIT) {
      throw new CheckpointError(
        `${path}: ${file.size} bytes are too many for a text file (at most ${TEXT_LIMIT})`,
        {
          file: path,
          expected: TEXT_LIMIT,
          got: file.size,
        },
      );
    }
    const kept = await this.#store.get(url);
    if (kept?.length === file.size) return decodeText(kept, path);
    const { signal } = this.#options;
    const bytes = await this.#client.retry(
      async () => readAll(await this.#client.exchange(url, { subject, signal }), TEXT_LIMIT),
      signal,
    );
    await this.#store.put(url, bytes);
    return decodeText(bytes, path);
  }

  async json(path: string): Promise<unknown> {
    return parseJson(await this.text(path), path);
  }

  async open(path: string): Promise<RandomAccess> {
    const { url, subject } = this.#place(path);
    const { size } = await this.#describe(path);
    const { signal, progress_callback: report } = this.#options;
    const progress = (loaded: number): void =>
      report?.({ status: "download", file: path, loaded, total: size });
    return new BlockAccess({
      client: this.#client,
      url,
      subject,
      size,
      store: this.#store,
      signal,
      progress,
    });
  }

  async list(): Promise<string[]> {
    const paths = [...this.#remote.files.keys()].filter((path) => path.startsWith(this.#prefix));
    return paths.map((path) => path.slice(this.#prefix.length)).sort();
  }

  #full(path: string): string {
    return this.#prefix + checkPath(path, this.name);
  }

  #place(path: string): { url: string; subject: Subject & { path: string } } {
    const subject = { id: this.name, revision: this.#remote.commit, path: this.#full(path) };
    return { subject, url: fileUrl(this.#client.endpoint, subject) };
  }

  async #describe(path: string): Promise<RemoteFile> {
    const { url, subject } = this.#place(path);
    const { files } = this.#remote;
    if (!files.has(subject.path)) throw missingFile(subject, url, this.#client.endpoint);
    return files.get(subject.path) ?? fetchFileInfo(this.#client, subject, this.#options.signal);
  }
}
