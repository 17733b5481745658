/** Names of the Hugging Face Hub: repositories, revisions, commits. */

/** A part of an id: letters, digits, `-`, `_`, `.`; none of the last three at either end. */
const PART = /^[A-Za-z0-9_]([\w.-]*\w)?$/;

/**
 * Why a text cannot be a repository's id on the Hub, or undefined where it can.
 * The rules are those of huggingface_hub's `validate_repo_id`.
 */
export function idFault(id: string): string | undefined {
  const parts = id.split("/");
  if (parts.length > 2) return "a Hub id has at most one '/'";
  if (parts.some((part) => part.length === 0 || part.length > 96)) {
    return "each part of a Hub id has 1 to 96 characters";
  }
  if (!parts.every((part) => PART.test(part))) {
    return "a Hub id has letters, digits, '-', '_' and '.', and neither begins nor ends with '-' or '.'";
  }
  if (id.includes("--") || id.includes("..")) return "a Hub id has neither '--' nor '..'";
  if (id.endsWith(".git")) return "a Hub id does not end with '.git'";
  return undefined;
}

/** Why a text cannot be a branch, tag or commit, or undefined where it can. It becomes a file name in the cache. */
export function revisionFault(revision: string): string | undefined {
  if (revision.length === 0 || revision.length > 255) return "it must have 1 to 255 characters";
  if (!/^[\w.+@/-]+$/.test(revision)) return "it may have letters, digits and . _ - + @ /";
  if (revision.split("/").some((part) => part === "" || part === "." || part === "..")) {
    return "it has an empty, '.' or '..' part";
  }
  return undefined;
}

/** Whether a revision is a full commit hash. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}
