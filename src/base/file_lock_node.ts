import type { FileHandle } from "node:fs/promises";
import { createServer } from "node:net";

/**
 * Keeps a file for one writer on this machine. What is held is a name that the system takes back when its process ends,
 * however it does: nothing stale is left behind. macOS has no such names: there, and between machines, nothing is held.
 *
 * @returns gives the file back; undefined where another writer has it
 */
export async function lockFile(handle: FileHandle): Promise<(() => Promise<void>) | undefined> {
  const { dev, ino } = await handle.stat({ bigint: true });
  const name = lockName(`llava-${dev}-${ino}`);
  if (name === undefined) return async () => {};
  const server = createServer();
  const trouble = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    server.once("error", resolve);
    server.listen(name, () => resolve(undefined));
  });
  if (trouble?.code === "EADDRINUSE") return undefined;
  server.unref();
  // Where the system refuses the name for another reason, what the file's size tells must do.
  return () => new Promise((resolve) => server.close(() => resolve()));
}

/** A name outside of the file system. */
function lockName(text: string): string | undefined {
  if (process.platform === "linux") return `\0${text}`;
  return process.platform === "win32" ? `\\\\.\\pipe\\${text}` : undefined;
}
