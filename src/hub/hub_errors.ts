import { HubError } from "../base/errors.ts";

/** What is asked of the Hub. */
export interface Subject {
  readonly id: string;
  readonly revision: string;
  /** A file; without it, the revision itself. */
  readonly path?: string;
}

interface Refusal {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
}

interface Asker {
  readonly endpoint: string;
  readonly hasToken: boolean;
}

/** A URL for messages: addresses of large files are signed in their query, and that is a secret. */
export function safeUrl(url: string): string {
  if (!URL.canParse(url)) return "(not a URL)";
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}

/** The error for an answer with a status of 400 and more. Its `where` is the argument at fault. */
export function responseError(refusal: Refusal, url: string, subject: Subject, asker: Asker): HubError {
  const { status } = refusal;
  const code = refusal.headers.get("x-error-code");
  const said = sentence(refusal.headers.get("x-error-message"));
  const facts = { status, url: safeUrl(url) };
  const { id, revision, path } = subject;
  const page = `${asker.endpoint}/${id}`;

  if (code === "RevisionNotFound") {
    const message = `${id}: there is no revision '${revision}'. See ${page}/tree/main for its branches and tags.`;
    return new HubError(message, { ...facts, where: "revision" });
  }
  if (code === "EntryNotFound") return missingFile(subject, url, asker.endpoint, status);
  if (code === "GatedRepo") {
    const next = asker.hasToken
      ? "the account that the token belongs to has not been given access"
      : "no token was given";
    const message = `${id}: this model is gated, and ${next}. Ask for access at ${page}, then set HF_TOKEN (or the option 'token') to a token of that account.`;
    return new HubError(message, { ...facts, where: "token" });
  }
  if (status === 401 && (asker.hasToken || /credential|token/i.test(said)) && code !== "RepoNotFound") {
    const message = `${id}: the Hub does not accept the token${said && ` ("${said}")`}. Check HF_TOKEN, or make a new one at ${asker.endpoint}/settings/tokens.`;
    return new HubError(message, { ...facts, where: "token" });
  }
  // The Hub answers 401 for what does not exist, too, so as not to tell private models from missing ones.
  if (code === "RepoNotFound" || status === 401 || (status === 404 && path === undefined)) {
    const access = asker.hasToken ? "the token given does not open it" : "no token was given";
    const message = `${id}: no such model at ${asker.endpoint}. Check the spelling; if the model is private, ${access}: set HF_TOKEN or the option 'token'.`;
    return new HubError(message, { ...facts, where: "name_or_path" });
  }
  if (status === 404) return missingFile(subject, url, asker.endpoint, status);
  return new HubError(
    `${nameOf(subject)}: ${reason(status)}${said && ` ("${said}")`} (${facts.url}, status ${status})`,
    facts,
  );
}

/** The error for a file that is not in the repository. */
export function missingFile(subject: Subject, url: string, endpoint: string, status = 404): HubError {
  const { id, revision, path } = subject;
  const message = `${id}: there is no file '${path}' at revision '${revision}'. See ${endpoint}/${id}/tree/${revision} for its files.`;
  return new HubError(message, { status, url: safeUrl(url), where: path });
}

/** The error for a request that got no answer, or not all of it. `stalled`: ms of silence that ended it. */
export function networkError(
  url: string,
  cause: unknown,
  stalled: number | undefined,
  subject?: Subject,
): HubError {
  const what = stalled === undefined ? innermost(cause) : `nothing came for ${stalled / 1000} s`;
  const name = subject === undefined ? "" : `${nameOf(subject)}: `;
  return new HubError(
    `${name}${new URL(url).host} cannot be reached, or broke off: ${what}. Check the network (HTTPS_PROXY, HF_ENDPOINT); files that are in the cache already can be used with HF_HUB_OFFLINE=1.`,
    { url: safeUrl(url), where: "network", cause },
  );
}

/** What a message calls the thing that was asked for. */
export function nameOf({ id, path }: Subject): string {
  return path === undefined ? id : `${id}/${path}`;
}

function reason(status: number): string {
  if (status === 403) return "the Hub denies access; the token may lack the right to read this model";
  if (status === 429) return "too many requests; wait a few minutes, or give a token, which allows more";
  if (status >= 500) return "the Hub has trouble; try again later";
  return "the Hub refuses the request";
}

/** What the server says, short and in one line. */
function sentence(message: string | null): string {
  const line = (message ?? "").replace(/\s+/g, " ").trim();
  return line.length > 200 ? `${line.slice(0, 197)}...` : line;
}

function innermost(cause: unknown): string {
  let text = String(cause);
  for (let error = cause; error instanceof Error; error = error.cause) {
    const code = "code" in error ? ` (${error.code})` : "";
    if (error.message !== "")
      text = error.message.includes(code.slice(2, -1)) ? error.message : error.message + code;
  }
  return text;
}
