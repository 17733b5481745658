import { ApiError, invalid } from "../errors.ts";
import type { Limits } from "../limits.ts";

interface Shared {
  n?: number;
  stream?: boolean;
  stream_options?: object;
}

/** What a schema cannot say, and both endpoints ask for. */
export function checkShared(
  { n = 1, stream, stream_options }: Shared,
  limits: Limits,
  prompts: number,
): void {
  if (n * prompts > limits.choices) {
    throw new ApiError(400, `n: at most ${limits.choices} answers to a request, not ${n * prompts}.`, {
      param: "n",
      code: "invalid_value",
    });
  }
  if (stream_options !== undefined && stream !== true) {
    throw invalid("stream_options", "needs stream to be true");
  }
}
