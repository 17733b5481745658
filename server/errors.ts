/** What a client is told went wrong, in OpenAI's shape. Nothing else of an error leaves the process. */
export class ApiError extends Error {
  readonly status: number;
  readonly type: string;
  /** The field at fault, as a path: `messages[0].content`. */
  readonly param: string | null;
  readonly code: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    message: string,
    facts: {
      type?: string;
      param?: string;
      code?: string;
      headers?: Record<string, string>;
      /** What only the log tells. */
      cause?: unknown;
    } = {},
  ) {
    super(message, { cause: facts.cause });
    this.status = status;
    this.type = facts.type ?? (status >= 500 ? "server_error" : "invalid_request_error");
    this.param = facts.param ?? null;
    this.code = facts.code ?? null;
    this.headers = facts.headers ?? {};
  }

  /** OpenAI's body. */
  get body(): { error: { message: string; type: string; param: string | null; code: string | null } } {
    const { message, type, param, code } = this;
    return { error: { message, type, param, code } };
  }

  toResponse(): Response {
    return Response.json(this.body, { status: this.status, headers: this.headers });
  }
}

/** A field whose value cannot be. */
export function invalid(param: string, message: string, code = "invalid_value"): ApiError {
  return new ApiError(400, `${param}: ${message}`, { param, code });
}

/** What a client is told of anything that was thrown: an error that was not made for it says nothing. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof DOMException && error.name === "AbortError") {
    return new ApiError(499, "The client is gone.", { code: "client_gone" });
  }
  return new ApiError(500, "The server failed to answer this request. Its log says more.", {
    code: "internal_error",
  });
}
