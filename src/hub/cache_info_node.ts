import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { isMissing, listFiles } from "./folder_node.ts";
import { isCommit } from "./ids.ts";
import { listCopies, type PackedCopyInfo, packedFolder } from "./packed_folder_node.ts";
import { findCache } from "./settings_node.ts";

/** A commit of a model in the cache. */
export interface CachedRevision {
  readonly commit: string;
  /** The branches and tags that stand for it. */
  readonly refs: readonly string[];
  readonly files: readonly string[];
}

/** A model in the cache. */
export interface CachedModel {
  readonly id: string;
  readonly folder: string;
  /** Of its files; what several commits share counts once. */
  readonly bytes: number;
  /** On disk, of downloads that were broken off. */
  readonly unfinishedBytes: number;
  /** When one of its files was last read or written, as far as the file system notes it. */
  readonly lastUsed: Date;
  readonly revisions: readonly CachedRevision[];
}

/** What is kept on disk. */
export interface CacheInfo {
  /** The shared Hugging Face cache. */
  readonly folder: string;
  readonly bytes: number;
  readonly models: readonly CachedModel[];
  /** Packed copies of weights. */
  readonly packed: {
    readonly folder: string;
    readonly bytes: number;
    readonly copies: readonly PackedCopyInfo[];
  };
}

/** The models in the shared cache and the packed copies of weights, and what they take. */
export async function cacheInfo(options: { cache_dir?: string } = {}): Promise<CacheInfo> {
  const folder = findCache(process.env, options.cache_dir);
  const models: CachedModel[] = [];
  for (const name of (await names(folder)).sort()) {
    if (name.startsWith("models--")) models.push(await readModel(name, join(folder, name)));
  }
  const copies = await listCopies();
  const packed = { folder: packedFolder(), bytes: sumOf(copies), copies };
  return { folder, bytes: sumOf(models), models, packed };
}

function sumOf(entries: readonly { readonly bytes: number }[]): number {
  return entries.reduce((sum, { bytes }) => sum + bytes, 0);
}

async function readModel(name: string, folder: string): Promise<CachedModel> {
  const refs = await readRefs(join(folder, "refs"));
  const commits = (await names(join(folder, "snapshots"))).filter(isCommit).sort();
  const revisions: CachedRevision[] = [];
  // Files by where they really are: links of several snapshots may lead to one.
  const sizes = new Map<string, number>();
  let used = 0;
  const count = async (path: string): Promise<void> => {
    const { size, atimeMs, mtimeMs } = await stat(path);
    sizes.set(await realpath(path), size);
    used = Math.max(used, atimeMs, mtimeMs);
  };
  for (const commit of commits) {
    const files = await listFiles(join(folder, "snapshots", commit));
    for (const file of files) await count(join(folder, "snapshots", commit, file));
    revisions.push({
      commit,
      refs: refs.filter((ref) => ref.commit === commit).map((ref) => ref.name),
      files,
    });
  }
  let unfinishedBytes = 0;
  for (const blob of await names(join(folder, "blobs"))) {
    const path = join(folder, "blobs", blob);
    // Such files have holes: what they take is less than their length.
    if (blob.endsWith(".incomplete")) unfinishedBytes += (await stat(path)).blocks * 512;
    else if (/^[0-9a-f]+$/.test(blob)) await count(path);
  }
  const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  const id = name.slice("models--".length).replaceAll("--", "/");
  return { id, folder, bytes, unfinishedBytes, lastUsed: new Date(used), revisions };
}

async function readRefs(folder: string): Promise<{ name: string; commit: string }[]> {
  const refs = (await names(folder)).length === 0 ? [] : await listFiles(folder);
  return Promise.all(
    refs.map(async (name) => ({ name, commit: (await readFile(join(folder, name), "utf8")).trim() })),
  );
}

/** What is in a folder; nothing where there is none. */
async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
