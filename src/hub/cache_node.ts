import { randomUUID } from "node:crypto";
import { copyFile, mkdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { codeOf, isMissing, sizeOfFile } from "./folder_node.ts";
import { isCommit } from "./ids.ts";

/**
 * One model's part of the shared cache, laid out as huggingface_hub lays it out:
 * `models--ORG--NAME/refs/REVISION` holds a commit, `snapshots/COMMIT/PATH` links to `blobs/ETAG`, and
 * `.no_exist/COMMIT/PATH` marks files that are not in the repository.
 */
export class ModelCache {
  readonly folder: string;
  readonly #name: string;
  readonly #root: string;
  readonly #symlinks: boolean;

  constructor(cacheDir: string, id: string, symlinks = true) {
    this.#root = cacheDir;
    this.#symlinks = symlinks;
    this.#name = `models--${id.replace("/", "--")}`;
    this.folder = join(cacheDir, this.#name);
  }

  snapshot(commit: string): string {
    return join(this.folder, "snapshots", commit);
  }

  pointer(commit: string, path: string): string {
    return join(this.snapshot(commit), path);
  }

  blob(etag: string): string {
    return join(this.folder, "blobs", etag);
  }

  /**
   * Where a blob is downloaded to. Not the `ETAG.incomplete` of huggingface_hub, whose older versions take such a
   * file's length for what is there of it; this one has holes.
   */
  partial(etag: string): string {
    return join(this.folder, "blobs", `${etag}.llava.incomplete`);
  }

  lock(etag: string): string {
    return join(this.#root, ".locks", this.#name, `${etag}.llava.lock`);
  }

  /** The commit that a branch or tag stood for when it was last asked for. */
  async readRef(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    try {
      const commit = (await readFile(join(this.folder, "refs", revision), "utf8")).trim();
      return isCommit(commit) ? commit : undefined;
    } catch (error) {
      if (isMissing(error) || codeOf(error) === "EISDIR") return undefined;
      throw error;
    }
  }

  async writeRef(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.readRef(revision)) === commit) return;
    await writeWhole(join(this.folder, "refs", revision), commit);
  }

  /** Makes the folders, and marks the cache for backup programs, as huggingface_hub does. */
  async create(): Promise<void> {
    await mkdir(join(this.folder, "blobs"), { recursive: true });
    const tag = join(this.#root, "CACHEDIR.TAG");
    if ((await sizeOfFile(tag)) !== undefined) return;
    await writeWhole(tag, "Signature: 8a477f597d28d172789f06886806bc55\n# This file marks a cache folder.\n");
  }

  async isKnownMissing(commit: string, path: string): Promise<boolean> {
    return (await sizeOfFile(join(this.folder, ".no_exist", commit, path))) !== undefined;
  }

  /** Remembers that a file does not exist. A cache that cannot be written to goes without. */
  async markMissing(commit: string, path: string): Promise<void> {
    const mark = join(this.folder, ".no_exist", commit, path);
    if ((await sizeOfFile(mark)) !== undefined) return;
    try {
      await mkdir(dirname(mark), { recursive: true });
      await writeFile(mark, "");
    } catch {}
  }

  /**
   * Makes a blob appear in a snapshot: as a link, or where links are not allowed, as a file of its own.
   *
   * @param isNew nothing else refers to the blob, so that it can be moved rather than copied
   */
  async link(etag: string, commit: string, path: string, isNew: boolean): Promise<void> {
    const [blob, pointer] = [this.blob(etag), this.pointer(commit, path)];
    await mkdir(dirname(pointer), { recursive: true });
    const fresh = `${pointer}.${randomUUID().slice(0, 8)}.tmp`;
    const linked = this.#symlinks && (await tryLink(relative(dirname(pointer), blob), fresh));
    if (!linked) await (isNew ? rename(blob, fresh) : copyFile(blob, fresh));
    // Renaming replaces a link that leads nowhere, and never leaves a moment without a file.
    await rename(fresh, pointer);
  }
}

/** Makes a symbolic link; false where the system or the file system does not allow it. */
async function tryLink(target: string, path: string): Promise<boolean> {
  try {
    await symlink(target, path);
    return true;
  } catch (error) {
    if (/^(EPERM|EACCES|ENOTSUP|EOPNOTSUPP|ENOSYS|UNKNOWN)$/.test(codeOf(error) ?? "")) return false;
    throw error;
  }
}

/** Writes a small file so that no reader sees half of it. */
export async function writeWhole(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const fresh = `${path}.${randomUUID().slice(0, 8)}.tmp`;
  try {
    await writeFile(fresh, text);
    await rename(fresh, path);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
}
