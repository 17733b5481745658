import { type JSONSchema, JSONSchemaLogitsProcessor, OptionError, UnsupportedError } from "../src/index.ts";
import { invalid } from "./errors.ts";
import type { Loaded } from "./model_pool.ts";
import type { ChatRequest } from "./schema.ts";

/** The tokens that end a text. */
export function eosOf({ generation_config }: Loaded["model"]): number[] {
  return [generation_config.eos_token_id].flat().filter((id) => id !== null);
}

/** The schema that a request's format stands for. */
export function schemaOf({ response_format }: Pick<ChatRequest, "response_format">): JSONSchema | undefined {
  if (response_format === undefined || response_format.type === "text") return undefined;
  if (response_format.type === "json_object") return { type: "object" };
  return response_format.json_schema.schema ?? { type: "object" };
}

/**
 * What holds one answer to a schema.
 *
 * @throws ApiError where the schema cannot be held exactly
 */
export function constraintOf(
  { model, processor }: Pick<Loaded, "model" | "processor">,
  schema: JSONSchema,
  max_new_tokens: number,
): JSONSchemaLogitsProcessor {
  try {
    const { tokenizer } = processor;
    return new JSONSchemaLogitsProcessor({ tokenizer, schema, eos_token_id: eosOf(model), max_new_tokens });
  } catch (error) {
    return heldError(error);
  }
}

/** Throws what a client is told of an error of a schema, which may show while the answer is made; others as they are. */
export function heldError(error: unknown): never {
  const isSchema = error instanceof OptionError && String(error.where ?? "").startsWith("schema");
  if (isSchema || error instanceof UnsupportedError)
    throw invalid("response_format.json_schema", error.message);
  throw error;
}
