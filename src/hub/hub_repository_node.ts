import { warnOnce } from "../base/env.ts";
import { CheckpointError, HubError } from "../base/errors.ts";
import { ModelCache } from "./cache_node.ts";
import { checkFreeSpace, diskError } from "./disk_node.ts";
import { download } from "./download_node.ts";
import { FileAccess } from "./file_access_node.ts";
import { isFolder, listFiles, readSmall, sizeOfFile } from "./folder_node.ts";
import { fetchFileInfo, fetchRevision, fileUrl, type RemoteFile, type RemoteRevision } from "./hub_api.ts";
import { missingFile, type Subject } from "./hub_errors.ts";
import { decodeText, parseJson, TEXT_LIMIT } from "./json.ts";
import { withLock } from "./lock_node.ts";
import { PartialFile } from "./partial_node.ts";
import { checkPath } from "./paths.ts";
import type { HubOptions, RandomAccess, Repository } from "./repository.ts";
import { type ResolvedRevision, resolveRevision } from "./revision_node.ts";
import type { HubSettings } from "./settings_node.ts";

/** Least time between two reports of progress on one file, in ms. */
const PROGRESS_INTERVAL = 50;

/** A model of the Hub, read from the shared cache, into which its files are downloaded when they are first asked for. */
export class HubRepository implements Repository {
  readonly name: string;
  readonly #cache: ModelCache;
  readonly #settings: HubSettings;
  readonly #options: HubOptions;
  #revision: ResolvedRevision;
  /** Before each path: the subfolder with a slash, or nothing. */
  readonly #prefix: string;
  /** Files that are there, or on their way, with their paths on disk. */
  readonly #local = new Map<string, Promise<string>>();
  #remote: Promise<RemoteRevision> | undefined;

  private constructor(
    name: string,
    cache: ModelCache,
    settings: HubSettings,
    options: HubOptions,
    revision: ResolvedRevision,
  ) {
    this.name = name;
    this.#cache = cache;
    this.#settings = settings;
    this.#options = options;
    this.#revision = revision;
    this.#prefix = options.subfolder ? `${options.subfolder.replace(/\/$/, "")}/` : "";
    if (revision.remote !== undefined) this.#remote = Promise.resolve(revision.remote);
  }

  /** @throws HubError where the model or the revision cannot be had */
  static async open(id: string, options: HubOptions, settings: HubSettings): Promise<HubRepository> {
    const cache = new ModelCache(settings.cacheDir, id, settings.symlinks);
    const subject = { id, revision: options.revision ?? "main" };
    const revision = await resolveRevision(cache, subject, settings, options);
    return new HubRepository(id, cache, settings, options, revision);
  }

  /** The folder in the cache that holds what is there of this revision. */
  get folder(): string {
    return this.#cache.pointer(this.#revision.commit, this.#prefix.slice(0, -1));
  }

  get offline(): string | undefined {
    return this.#revision.offline;
  }

  async has(path: string): Promise<boolean> {
    const full = this.#full(path);
    const { commit, offline } = this.#revision;
    if ((await sizeOfFile(this.#cache.pointer(commit, full))) !== undefined) return true;
    if (offline !== undefined) return false;
    if (this.#remote === undefined && (await this.#cache.isKnownMissing(commit, full))) return false;
    try {
      if ((await this.#listing()).has(full)) return true;
    } catch (error) {
      await this.#goOffline(error);
      return false;
    }
    await this.#cache.markMissing(commit, full);
    return false;
  }

  async text(path: string): Promise<string> {
    const size = (await this.#remote)?.files.get(this.#full(path))?.size ?? 0;
    if (size > TEXT_LIMIT) {
      throw new CheckpointError(
        `${path}: ${size} bytes are too many for a text file (at most ${TEXT_LIMIT})`,
        {
          file: path,
          expected: TEXT_LIMIT,
          got: size,
        },
      );
    }
    return decodeText(await readSmall(await this.#file(path), path, this.name), path);
  }

  async json(path: string): Promise<unknown> {
    return parseJson(await this.text(path), path);
  }

  async open(path: string): Promise<RandomAccess> {
    return FileAccess.open(await this.#file(path), path);
  }

  async list(): Promise<string[]> {
    if (this.offline !== undefined) return (await isFolder(this.folder)) ? listFiles(this.folder) : [];
    const paths = [...(await this.#listing()).keys()].filter((path) => path.startsWith(this.#prefix));
    return paths.map((path) => path.slice(this.#prefix.length)).sort();
  }

  /** Downloads what is not there of these files: small ones side by side, large ones one after the other. */
  async prepare(paths: readonly string[]): Promise<void> {
    if (this.offline !== undefined) return;
    const wanted = (await Promise.all(paths.map((path) => this.#absent(path)))).filter(
      (file) => file !== undefined,
    );
    await this.#checkSpace(wanted);
    const { piece, parallel } = this.#settings.slicing;
    const small = wanted.filter((file) => file.size <= piece);
    const inTurn = async (files: RemoteFile[]): Promise<void> => {
      for (let file = files.shift(); file !== undefined; file = files.shift())
        await this.#obtained(file.path);
    };
    await Promise.all(Array.from({ length: parallel }, () => inTurn(small)));
    await inTurn(wanted.filter((file) => file.size > piece));
  }

  /** The file's description, where it must be downloaded. */
  async #absent(path: string): Promise<RemoteFile | undefined> {
    const full = this.#full(path);
    if (this.#local.has(full) || (await this.#cached(full)) !== undefined) return undefined;
    return this.#describe(full);
  }

  async #checkSpace(files: readonly RemoteFile[]): Promise<void> {
    let needed = 0;
    for (const { etag, size } of files)
      needed += size - (await PartialFile.bytesDone(this.#cache.partial(etag), size));
    await this.#guardDisk(() => this.#cache.create());
    await checkFreeSpace(this.#cache.folder, needed, this.name);
  }

  #full(path: string): string {
    return this.#prefix + checkPath(path, this.name);
  }

  #subject(path: string): Subject & { path: string } {
    return { id: this.name, revision: this.#revision.commit, path };
  }

  #file(path: string): Promise<string> {
    return this.#obtained(this.#full(path));
  }

  /** The path on disk of a file, which is downloaded where it is not there; each file once. */
  #obtained(full: string): Promise<string> {
    const known = this.#local.get(full);
    if (known !== undefined) return known;
    const obtained = this.#obtain(full);
    this.#local.set(full, obtained);
    // After a failure the next request tries again.
    obtained.catch(() => this.#local.delete(full));
    return obtained;
  }

  async #obtain(full: string): Promise<string> {
    const cached = await this.#cached(full);
    if (cached !== undefined) return cached;
    const { offline, commit } = this.#revision;
    if (offline !== undefined) {
      const { folder } = this.#cache;
      const message = `${this.name}: '${full}' is not in the cache (${folder}), and cannot be downloaded: ${offline}`;
      throw new HubError(message, { where: full });
    }
    const file = await this.#describe(full);
    await this.#guardDisk(() => this.#download(file));
    return this.#cache.pointer(commit, full);
  }

  /** The path of a file that is in the cache with the right size. */
  async #cached(full: string): Promise<string | undefined> {
    const { commit, offline } = this.#revision;
    if (this.#options.force_download === true && offline === undefined) return undefined;
    const pointer = this.#cache.pointer(commit, full);
    const size = await sizeOfFile(pointer);
    const expected = (await this.#remote)?.files.get(full)?.size ?? size;
    return size === undefined || size !== expected ? undefined : pointer;
  }

  async #describe(full: string): Promise<RemoteFile> {
    const { client } = this.#settings;
    const files = await this.#listing();
    const subject = this.#subject(full);
    if (files.has(full)) return files.get(full) ?? fetchFileInfo(client, subject, this.#options.signal);
    await this.#cache.markMissing(this.#revision.commit, full);
    throw missingFile(subject, fileUrl(client.endpoint, subject), client.endpoint);
  }

  async #listing(): Promise<RemoteRevision["files"]> {
    const subject = { id: this.name, revision: this.#revision.commit };
    this.#remote ??= fetchRevision(this.#settings.client, subject, { signal: this.#options.signal });
    const remote = this.#remote;
    remote.catch(() => {
      this.#remote = undefined;
    });
    return (await remote).files;
  }

  /** The Hub cannot be reached: goes on with what is in the cache, where this commit is there at all. */
  async #goOffline(error: unknown): Promise<void> {
    const { commit } = this.#revision;
    const isUnreachable = error instanceof HubError && error.where === "network";
    if (!isUnreachable || !(await isFolder(this.#cache.snapshot(commit)))) throw error;
    warnOnce(`${error.message} The copy in the cache is used: commit ${commit}.`);
    this.#revision = { commit, offline: error.message };
  }

  async #download(file: RemoteFile): Promise<void> {
    const { etag, path, size } = file;
    const { client, slicing, lock } = this.#settings;
    const { signal, force_download } = this.#options;
    const { commit } = this.#revision;
    const [blob, partial, pointer] = [
      this.#cache.blob(etag),
      this.#cache.partial(etag),
      this.#cache.pointer(commit, path),
    ];
    const isThere = async (place: string): Promise<boolean> =>
      force_download !== true && (await sizeOfFile(place)) === size;
    const work = async (): Promise<void> => {
      // Another process, or another commit with the same content, may have brought it.
      if (await isThere(pointer)) return;
      const isNew = !(await isThere(blob));
      if (isNew) {
        await this.#checkSpace([file]);
        const progress = this.#reporter(path, size);
        await download({
          client,
          subject: this.#subject(path),
          file,
          partial,
          target: blob,
          slicing,
          signal,
          progress,
        });
      }
      await this.#cache.link(etag, commit, path, isNew);
    };
    await this.#cache.create();
    await withLock(this.#cache.lock(etag), work, { signal, timing: lock });
  }

  #reporter(file: string, total: number): (loaded: number) => void {
    const report = this.#options.progress_callback;
    let last = Number.NEGATIVE_INFINITY;
    return (loaded) => {
      if (report === undefined || (loaded < total && performance.now() - last < PROGRESS_INTERVAL)) return;
      last = performance.now();
      report({ status: "download", file, loaded, total });
    };
  }

  async #guardDisk<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw diskError(error, this.#cache.folder);
    }
  }
}
