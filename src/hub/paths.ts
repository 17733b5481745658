import { CheckpointError } from "../base/errors.ts";

/** Why a path may not be used inside a repository, or undefined where it may. */
export function pathFault(path: string): string | undefined {
  if (path === "") return "it is empty";
  if (path.includes("\0")) return "it holds a NUL character";
  if (path.includes("\\")) return "it holds a backslash";
  if (path.startsWith("/") || /^[A-Za-z]:/.test(path)) return "it is absolute";
  if (path.split("/").some((part) => part === "" || part === "." || part === "..")) {
    return "it has an empty, '.' or '..' part";
  }
  return undefined;
}

/**
 * Gives a path back that names a file inside a repository: relative, with `/`, without `..`.
 *
 * @param where who names the file, for the message
 * @throws CheckpointError for any other path
 */
export function checkPath(path: string, where: string): string {
  const fault = pathFault(path);
  if (fault !== undefined) {
    throw new CheckpointError(
      `${where}: the file name ${JSON.stringify(path)} is not allowed: ${fault}. A checkpoint's files must lie inside it.`,
      { where, file: path, expected: "a relative path without '..'", got: path },
    );
  }
  return path;
}
