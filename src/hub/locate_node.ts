import { existsSync, readFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { CheckpointError } from "../base/errors.ts";
import { isMissing } from "./folder_node.ts";
import { idFault } from "./ids.ts";

/** The name of the checkpoint inside the package. */
export const DEMO = "llava-demo";

/** Where a name leads: a folder's path, or an id of the Hub. */
export type Place = { readonly folder: string } | { readonly id: string };

/**
 * Finds out what a name stands for.
 *
 * @throws CheckpointError where it is a file, or neither an existing folder nor a legal id
 */
export async function locate(name: string): Promise<Place> {
  if (name === DEMO) return { folder: demoFolder() };
  const path = toPath(name);
  const found = await stat(path).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw new CheckpointError(`${name}: the folder ${path} cannot be read`, { file: path, cause: error });
  });
  if (found?.isDirectory()) return { folder: path };
  if (found !== undefined) {
    throw new CheckpointError(`${name}: is a file. Name the folder that it lies in: ${dirname(path)}`, {
      file: path,
      expected: "a folder",
      got: "a file",
    });
  }
  const fault = /^([~.]|[a-z]+:\/\/)/i.test(name) ? "it looks like a path" : idFault(name);
  if (fault === undefined) return { id: name };
  throw new CheckpointError(
    `${name}: no such model. There is no folder ${path}, and it is not the id of a model on the Hugging Face Hub ` +
      `(${fault}). Give a folder, an id such as llava-hf/llava-1.5-7b-hf, or ${DEMO}.`,
    { file: path, expected: `a folder, a Hub id, or ${DEMO}`, got: name },
  );
}

/** A user's way of writing a path as an absolute one: relative, `~`, or a file URL. */
export function toPath(name: string): string {
  if (/^file:/i.test(name)) {
    try {
      return fileURLToPath(name);
    } catch (cause) {
      throw new CheckpointError(`${name}: not a usable file URL`, { file: name, cause });
    }
  }
  if (name === "~" || /^~[/\\]/.test(name)) return join(homedir(), name.slice(1));
  return resolve(name);
}

/** The folder of the bundled checkpoint, in the source tree and in the built package alike. */
function demoFolder(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  for (let folder = here; ; folder = dirname(folder)) {
    if (isPackageRoot(folder)) return join(folder, "checkpoints", DEMO);
    if (folder === dirname(folder)) {
      throw new CheckpointError(`${DEMO}: the package's own folder was not found above ${here}`, {
        file: here,
      });
    }
  }
}

function isPackageRoot(folder: string): boolean {
  const file = join(folder, "package.json");
  return existsSync(file) && (JSON.parse(readFileSync(file, "utf8")) as { name?: unknown }).name === "llava";
}
