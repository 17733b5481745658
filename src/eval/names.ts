import { basename } from "node:path";

/** A file's name without its folder and its last ending: Python's `splitext(basename(path))[0]`. */
export function stem(path: string): string {
  const name = basename(path);
  const leading = /^\.*/.exec(name)?.[0].length ?? 0;
  const dot = name.lastIndexOf(".");
  return dot >= Math.max(leading, 1) ? name.slice(0, dot) : name;
}

/** The model's name in answer lines: the last part of its path, or `name_checkpoint-N`. */
export function modelId(path: string): string {
  const parts = path.replace(/^\/+|\/+$/g, "").split("/");
  const last = parts[parts.length - 1];
  return last.startsWith("checkpoint-") && parts.length > 1 ? `${parts[parts.length - 2]}_${last}` : last;
}
