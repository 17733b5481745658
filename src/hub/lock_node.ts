import { randomUUID } from "node:crypto";
import { link, mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { codeOf, isMissing } from "./folder_node.ts";
import { sleep } from "./http.ts";

/** Times are milliseconds. */
export interface LockTiming {
  /** Between looks at a lock that another process holds. */
  readonly poll: number;
  /** A lock that was not renewed for so long is left over from a process that died. */
  readonly stale: number;
}

export const LOCK_TIMING: LockTiming = { poll: 100, stale: 30_000 };

/**
 * Runs something while no other process (or other caller here) that uses the same lock file does.
 *
 * The lock keeps work from being done twice; what is right does not hang on it. Its holder writes who he is into the
 * file, and renews its time. The locks of huggingface_hub (`flock`) cannot be taken in Node; its processes and ours
 * do not share unfinished files.
 *
 * @throws `signal.reason` where it is aborted while waiting
 */
export async function withLock<T>(
  path: string,
  work: () => Promise<T>,
  options: { signal?: AbortSignal; timing?: LockTiming } = {},
): Promise<T> {
  const { signal, timing = LOCK_TIMING } = options;
  await mkdir(dirname(path), { recursive: true });
  const holder = JSON.stringify({ host: hostname(), pid: process.pid, id: randomUUID() });
  while (!(await take(path, holder))) {
    signal?.throwIfAborted();
    if (!(await removeStale(path, timing))) await sleep(timing.poll, signal);
  }
  const renewal = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, timing.stale / 4);
  renewal.unref();
  try {
    return await work();
  } finally {
    clearInterval(renewal);
    if ((await readHolder(path)) === holder) await rm(path, { force: true });
  }
}

async function take(path: string, holder: string): Promise<boolean> {
  try {
    await writeFile(path, holder, { flag: "wx" });
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** Removes the lock of a process that is no more. False where its holder lives. */
async function removeStale(path: string, timing: LockTiming): Promise<boolean> {
  const holder = await readHolder(path);
  if (holder === undefined) return true;
  if (!(await isStale(path, holder, timing))) return false;
  // Moved away first: whoever moves it looks whether it is still the one that was judged, and otherwise puts it back.
  const aside = `${path}.${randomUUID().slice(0, 8)}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (isMissing(error)) return true;
    throw error;
  }
  if ((await readHolder(aside)) !== holder) await link(aside, path).catch(() => {});
  await rm(aside, { force: true });
  return true;
}

async function isStale(path: string, holder: string, timing: LockTiming): Promise<boolean> {
  try {
    if (Date.now() - (await stat(path)).mtimeMs > timing.stale) return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
  try {
    const { host, pid } = JSON.parse(holder) as { host: unknown; pid: unknown };
    return host === hostname() && typeof pid === "number" && !isAlive(pid);
  } catch {
    // Its holder is about to write it.
    return false;
  }
}

/** Whether a process of this machine runs. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) !== "ESRCH";
  }
}

async function readHolder(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
