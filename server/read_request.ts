import type { z } from "zod";
import type { BodyShare } from "./body_budget.ts";
import { ApiError } from "./errors.ts";

type Issue = z.core.$ZodIssue;

/**
 * The body as the schema has it.
 *
 * @param limit bytes that it may have
 * @param share what it takes of the memory for bodies
 * @throws ApiError that names the field at fault
 */
export async function readRequest<T>(
  request: Request,
  schema: z.ZodType<T>,
  limit: number,
  share: BodyShare,
): Promise<T> {
  if (!/^application\/json\s*(;|$)/i.test(request.headers.get("content-type") ?? "")) {
    throw new ApiError(415, "Send the request as JSON, with the header Content-Type: application/json.", {
      code: "unsupported_media_type",
    });
  }
  const body = withoutNulls(parse(await readText(request, limit, share)));
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw asError(deepest(result.error.issues[0], []));
}

/** @throws ApiError where the body is longer than the limit, or no UTF-8 */
async function readText(request: Request, limit: number, share: BodyShare): Promise<string> {
  const tooLarge = (): ApiError =>
    new ApiError(413, `The request's body is larger than ${limit} bytes.`, { code: "body_too_large" });
  const said = Number(request.headers.get("content-length") ?? Number.NaN);
  if (said > limit) throw tooLarge();
  // Nobody sends more than they have said. Reading piece by piece takes longer than all else that is done to a request.
  if (said <= limit) share.take(said);
  const bytes =
    said <= limit ? await request.arrayBuffer() : await readPieces(request, limit, share, tooLarge);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ApiError(400, "The request's body is no valid UTF-8.", { code: "invalid_json" });
  }
}

/** A body whose length is not known beforehand. */
async function readPieces(
  request: Request,
  limit: number,
  share: BodyShare,
  tooLarge: () => ApiError,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > limit) throw tooLarge();
    share.take(chunk.length);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the body.
    throw new ApiError(400, "The request's body is no valid JSON.", { code: "invalid_json" });
  }
}

/** OpenAI takes null for a field that is left out. */
function withoutNulls(body: unknown): unknown {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return body;
  if (Object.hasOwn(body, "__proto__")) {
    throw new ApiError(400, "__proto__: this field is not known.", {
      param: "__proto__",
      code: "unknown_parameter",
    });
  }
  return Object.fromEntries(Object.entries(body).map(([key, value]) => [key, value ?? undefined]));
}

interface Found {
  issue: Issue;
  path: PropertyKey[];
}

/** Of a union's alternatives, the one that came furthest says what is wrong. */
function deepest(issue: Issue, before: readonly PropertyKey[]): Found {
  const path = [...before, ...issue.path];
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return { issue, path };
  const candidates = issue.errors
    .filter((issues) => issues.length > 0)
    .map((issues) => deepest(issues[0], path));
  const furthest = candidates.reduce<Found | undefined>(
    (best, found) => (best && best.path.length >= found.path.length ? best : found),
    undefined,
  );
  return furthest && furthest.path.length > path.length ? furthest : { issue, path };
}

function asError({ issue, path }: Found): ApiError {
  if (issue.code === "unrecognized_keys") {
    const param = pathText([...path, issue.keys[0]]);
    return new ApiError(400, `${param}: this field is not known or not supported.`, {
      param,
      code: "unknown_parameter",
    });
  }
  const param = pathText(path);
  return new ApiError(400, `${param || "The request"}: ${issue.message}.`, {
    param: param || undefined,
    code: issue.code === "invalid_type" ? "invalid_type" : "invalid_value",
  });
}

/** `messages[0].content`, with no key longer than a field's name is. */
function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((key, i) =>
      typeof key === "number" ? `[${key}]` : `${i > 0 ? "." : ""}${String(key).slice(0, 64)}`,
    )
    .join("");
}
