import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

const folders: string[] = [];

// For the file that imports this: what is registered while a test runs would not be called.
afterAll(() => {
  for (const path of folders) rmSync(path, { recursive: true, force: true });
});

/** A fresh folder, gone after the test file. */
export function temporaryFolder(name: string): string {
  const path = mkdtempSync(join(tmpdir(), `llava-${name}-`));
  folders.push(path);
  return path;
}
