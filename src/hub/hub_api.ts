import { HubError } from "../base/errors.ts";
import type { HubClient } from "./http.ts";
import { nameOf, type Subject, safeUrl } from "./hub_errors.ts";
import { isCommit } from "./ids.ts";
import { isRecord } from "./json.ts";
import { pathFault } from "./paths.ts";

/** A file of a repository, as the Hub describes it. */
export interface RemoteFile {
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  /**
   * The name of its content in the cache: SHA-256 of a large file (LFS), git's SHA-1 of a small one. A mirror may
   * have names of its own, which say nothing about the content.
   */
  readonly etag: string;
}

/** A repository at a commit. */
export interface RemoteRevision {
  readonly commit: string;
  /** By path. Undefined where the Hub lists the file without describing it. */
  readonly files: ReadonlyMap<string, RemoteFile | undefined>;
}

/** Longest answer of the Hub's interface, and the most files (of several pages) that are taken. */
const ANSWER_LIMIT = 64 * 2 ** 20;
const FILES_LIMIT = 100_000;

/**
 * Asks what a branch, tag or commit stands for, and which files are there.
 *
 * @throws HubError
 */
export async function fetchRevision(
  client: HubClient,
  subject: Subject,
  options: { signal?: AbortSignal; attempts?: number } = {},
): Promise<RemoteRevision> {
  const { id, revision } = subject;
  const url = `${client.endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const { value } = await client.json(url, { subject, limit: ANSWER_LIMIT, ...options });
  const commit = isRecord(value) ? value.sha : undefined;
  if (!isRecord(value) || typeof commit !== "string" || !isCommit(commit)) {
    throw new HubError(
      `${id}: ${client.endpoint} does not name a commit. Is HF_ENDPOINT a Hugging Face Hub?`,
      {
        url: safeUrl(url),
        where: "network",
        expected: "sha: 40 hexadecimal digits",
        got: commit,
      },
    );
  }
  const listed = value.siblings;
  const files = Array.isArray(listed) ? describe(listed, "rfilename") : undefined;
  return { commit, files: files ?? (await fetchTree(client, { id, revision: commit }, options)) };
}

/** All files, page by page. */
async function fetchTree(
  client: HubClient,
  subject: Subject,
  options: { signal?: AbortSignal },
): Promise<ReadonlyMap<string, RemoteFile | undefined>> {
  const files = new Map<string, RemoteFile | undefined>();
  let url: string | undefined =
    `${client.endpoint}/api/models/${subject.id}/tree/${subject.revision}?recursive=true`;
  while (url !== undefined && files.size < FILES_LIMIT) {
    const { value, headers } = await client.json(url, { subject, limit: ANSWER_LIMIT, ...options });
    const page = Array.isArray(value)
      ? value.filter((entry) => isRecord(entry) && entry.type === "file")
      : [];
    for (const [path, file] of describe(page, "path")) files.set(path, file);
    const next = /<([^>]+)>;\s*rel="next"/.exec(headers.get("link") ?? "")?.[1];
    url =
      page.length === 0 || next === undefined || !URL.canParse(next, url)
        ? undefined
        : new URL(next, url).href;
  }
  return files;
}

/** Entries of a list of files. Those whose paths would leave the repository are left out. */
function describe(
  entries: readonly unknown[],
  pathKey: "path" | "rfilename",
): Map<string, RemoteFile | undefined> {
  const files = new Map<string, RemoteFile | undefined>();
  for (const entry of entries) {
    const path = isRecord(entry) ? entry[pathKey] : undefined;
    if (!isRecord(entry) || typeof path !== "string" || pathFault(path) !== undefined) continue;
    const lfs = isRecord(entry.lfs) ? entry.lfs : undefined;
    const size = lfs?.size ?? entry.size;
    const etag = lfs === undefined ? (entry.blobId ?? entry.oid) : (lfs.sha256 ?? lfs.oid);
    files.set(path, isSize(size) && isHash(etag) ? { path, size, etag } : undefined);
  }
  return files;
}

/**
 * Asks for the size and hash of one file, as huggingface_hub does: of the answer's headers, those of the Hub itself
 * and not those of the host that it sends on to.
 *
 * @throws HubError
 */
export async function fetchFileInfo(
  client: HubClient,
  subject: Subject & { path: string },
  signal?: AbortSignal,
): Promise<RemoteFile> {
  const url = fileUrl(client.endpoint, subject);
  return client.retry(async () => {
    const exchange = await client.exchange(url, { method: "HEAD", subject, signal, stay: true });
    await exchange.close();
    const { headers } = exchange;
    const etag = (headers.get("x-linked-etag") ?? headers.get("etag") ?? "").replace(/^(W\/)?"|"$/g, "");
    const length = headers.get("x-linked-size") ?? headers.get("content-length");
    const size = length === null ? Number.NaN : Number(length);
    if (!/^\w[\w.-]{0,127}$/.test(etag) || !isSize(size)) {
      throw new HubError(`${nameOf(subject)}: the Hub names no ETag and size of this file`, {
        url: safeUrl(url),
        status: exchange.status,
        got: { etag, length },
      });
    }
    return { path: subject.path, size, etag };
  }, signal);
}

/** Where a file is downloaded from. */
export function fileUrl(endpoint: string, { id, revision, path }: Subject & { path: string }): string {
  return `${endpoint}/${id}/resolve/${encodeURIComponent(revision)}/${path.split("/").map(encodeURIComponent).join("/")}`;
}

function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** Whether a name of content is its SHA-256 or SHA-1. */
export function isHash(value: unknown): value is string {
  return typeof value === "string" && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(value);
}
