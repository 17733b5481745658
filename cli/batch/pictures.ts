import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

const PICTURE = /\.(jpe?g|png|webp|gif|bmp|tiff?|avif)$/i;

/** Whether a file's name is that of a picture. */
export function isPictureName(name: string): boolean {
  return PICTURE.test(name);
}

/** What `path` is, or undefined where there is no such thing. */
export async function kindOf(path: string): Promise<"file" | "folder" | undefined> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch {
    return undefined;
  }
}

/**
 * The pictures under a folder, in order, as paths from there. Hidden files and folders are left out, linked folders not
 * gone into.
 *
 * @param depth how many folders deep
 */
export async function* picturesUnder(
  folder: string,
  depth = Number.POSITIVE_INFINITY,
): AsyncGenerator<string> {
  const entries = (await readdir(folder || ".", { withFileTypes: true })).filter(
    ({ name }) => !name.startsWith("."),
  );
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.isDirectory()) {
      if (depth <= 1) continue;
      for await (const path of picturesUnder(join(folder, entry.name), depth - 1)) {
        yield `${entry.name}/${path}`;
      }
    } else if (isPictureName(entry.name)) yield entry.name;
  }
}

/** Whether a text is a pattern of file names. */
export function isPattern(text: string): boolean {
  return /[*?[{]/.test(text);
}

/** The pictures that a pattern stands for, in order: `*`, `?`, `[abc]`, `{a,b}`, and `**` for folders of any depth. */
export async function* picturesLike(pattern: string): AsyncGenerator<string> {
  const parts = pattern.split("/");
  const plain = parts.findIndex((part) => isPattern(part));
  const root = parts
    .slice(0, plain)
    .map((part) => `${part}/`)
    .join("");
  const rest = parts.slice(plain).join("/");
  if ((await kindOf(root || ".")) !== "folder") return;
  const expression = patternExpression(rest);
  const depth = /\*\*|\{/.test(rest) ? undefined : parts.length - plain;
  for await (const path of picturesUnder(root, depth)) if (expression.test(path)) yield `${root}${path}`;
}

const TOKEN = /\*\*\/|\*\*|\*|\?|\[!?[^\]]+\]|[{},]|[^*?[{},]+|\[/g;

function patternExpression(pattern: string): RegExp {
  let open = 0;
  const source = pattern.replace(TOKEN, (token) => {
    if (token === "**/") return "(?:[^/]+/)*";
    if (token === "**") return ".*";
    if (token === "*") return "[^/]*";
    if (token === "?") return "[^/]";
    if (token.length > 1 && token.startsWith("["))
      return token.replace(/^\[!/, "[^").replaceAll("\\", "\\\\");
    if (token === "{") open++;
    if (token === "{") return "(?:";
    if (token === "," && open > 0) return "|";
    if (token === "}" && open > 0) {
      open--;
      return ")";
    }
    return token.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  });
  return new RegExp(`^${source}${")".repeat(open)}$`);
}
