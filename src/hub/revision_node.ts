import { warnOnce } from "../base/env.ts";
import { HubError } from "../base/errors.ts";
import type { ModelCache } from "./cache_node.ts";
import { isFolder } from "./folder_node.ts";
import { fetchRevision, type RemoteRevision } from "./hub_api.ts";
import type { Subject } from "./hub_errors.ts";
import { isCommit } from "./ids.ts";
import type { HubOptions } from "./repository.ts";
import type { HubSettings } from "./settings_node.ts";

/** What a revision's name stands for. */
export interface ResolvedRevision {
  readonly commit: string;
  /** What the Hub says of it, where it was asked. */
  readonly remote?: RemoteRevision;
  /** Why nothing can be downloaded, where that is so. */
  readonly offline?: string;
}

/**
 * Finds the commit of a branch or tag: by asking the Hub, or where it does not answer (or must not be asked), in the
 * cache. A full commit hash needs no asking.
 *
 * @throws HubError where the Hub knows no such revision, or nobody does
 */
export async function resolveRevision(
  cache: ModelCache,
  subject: Subject,
  settings: HubSettings,
  options: HubOptions,
): Promise<ResolvedRevision> {
  const { id, revision } = subject;
  const cached = await cachedCommit(cache, revision);
  if (settings.offline !== undefined) {
    if (cached !== undefined) return { commit: cached, offline: settings.offline };
    throw new HubError(
      `${id}: revision '${revision}' is not in the cache (${cache.folder}), and nothing may be downloaded because ${settings.offline}.`,
      { where: cache.folder },
    );
  }
  if (isCommit(revision)) return { commit: revision };
  const mayFallBack = cached !== undefined && options.force_download !== true;
  try {
    const attempts = mayFallBack ? 1 : undefined;
    const remote = await fetchRevision(settings.client, subject, { signal: options.signal, attempts });
    // A cache that cannot be written to may still hold everything.
    await cache.writeRef(revision, remote.commit).catch(() => {});
    return { commit: remote.commit, remote };
  } catch (error) {
    if (!mayFallBack || !(error instanceof HubError) || error.where === "revision") throw error;
    warnOnce(`${error.message} The copy in the cache is used: commit ${cached}.`);
    return { commit: cached, offline: error.message };
  }
}

/** The commit in the cache, where a snapshot of it is there. */
async function cachedCommit(cache: ModelCache, revision: string): Promise<string | undefined> {
  const commit = await cache.readRef(revision);
  if (commit === undefined) return undefined;
  return (await isFolder(cache.snapshot(commit))) ? commit : undefined;
}
