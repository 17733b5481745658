import { OptionError } from "../../base/errors.ts";
import { unknownOption } from "../../base/options.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { describeChatTemplate, renderChatTemplate, type Span } from "../../text/chat_template.ts";
import { controlTokens, markControlTokens } from "../../text/control_tokens.ts";
import type { TensorType } from "../processing/batch_feature.ts";
import type { TokenizersBackend } from "../tokenization_utils_tokenizers.ts";
import type { BatchEncoding } from "./batch_encoding.ts";
import { batchOf, type ChatMessage, type ChosenTemplate, checkContinue } from "./chat.ts";
import type { PaddingStrategy, TokenizerCallOptions, TruncationStrategy } from "./options.ts";

/** What a tokenizer's `apply_chat_template` takes. A key that the template reads is a variable of it. */
export interface TokenizerChatOptions {
  tools?: unknown;
  documents?: unknown;
  /** A template, or the name of one. */
  chat_template?: string | null;
  add_generation_prompt?: boolean;
  /** Leaves the last message open: true for its content, or the name of the field. */
  continue_final_message?: boolean | string;
  /** Defaults to true. */
  tokenize?: boolean;
  /** Takes control tokens in what the caller gives for ordinary text. */
  sanitize_control_tokens?: boolean;
  padding?: boolean | PaddingStrategy;
  truncation?: boolean | TruncationStrategy;
  max_length?: number | null;
  return_tensors?: TensorType | null;
  /** Defaults to true. */
  return_dict?: boolean;
  return_assistant_tokens_mask?: boolean;
  tokenizer_kwargs?: TokenizerCallOptions | null;
  [variable: string]: unknown;
}

const CHAT_OPTIONS = [
  "tools",
  "documents",
  "chat_template",
  "add_generation_prompt",
  "continue_final_message",
  "tokenize",
  "sanitize_control_tokens",
  "padding",
  "truncation",
  "max_length",
  "return_tensors",
  "return_dict",
  "return_assistant_tokens_mask",
  "tokenizer_kwargs",
];

/** Renders conversations by a tokenizer's template, and encodes them. */
export function applyTokenizerChatTemplate(
  tokenizer: TokenizersBackend,
  conversation: unknown,
  options: TokenizerChatOptions,
): string | string[] | BatchEncoding | BatchEncoding[keyof BatchEncoding] {
  const tokenize = options.tokenize ?? true;
  const return_dict = tokenize && (options.return_dict ?? true);
  const mask = options.return_assistant_tokens_mask === true;
  if (mask && !return_dict) {
    throw new OptionError("return_assistant_tokens_mask needs tokenize and return_dict", {
      where: "return_assistant_tokens_mask",
    });
  }
  const chosen = tokenizer.chooseTemplate(options.chat_template, options.tools);
  const { conversations, batched } = batchOf(conversation);
  checkContinue(options);
  const variables = variablesOf(options, chosen);
  const given = { conversations, tools: options.tools, documents: options.documents, variables };
  const shown = options.sanitize_control_tokens ? sanitized(tokenizer, chosen, given, tokenize, mask) : given;
  const { prompts, generation } = renderChatTemplate({
    ...shown,
    ...chosen,
    variables: { ...tokenizer.special_tokens_map, ...shown.variables },
    add_generation_prompt: options.add_generation_prompt ?? false,
    continue_final_message: options.continue_final_message ?? false,
    return_assistant_tokens_mask: mask,
  });
  if (!tokenize) return batched ? prompts : prompts[0];
  const encoded = tokenizer(batched ? prompts : prompts[0], {
    padding: options.padding ?? false,
    truncation: options.truncation ?? false,
    max_length: options.max_length,
    add_special_tokens: false,
    ...(options.return_tensors === undefined ? {} : { return_tensors: options.return_tensors }),
    sanitize_control_tokens: options.sanitize_control_tokens,
    ...options.tokenizer_kwargs,
  });
  if (!return_dict) return encoded.input_ids;
  return mask ? withMasks(encoded, generation) : encoded;
}

/** The ids that one more message adds to a conversation. */
export function encodeMessage(
  tokenizer: TokenizersBackend,
  message: ChatMessage,
  options: { conversation_history?: readonly ChatMessage[] | null; [key: string]: unknown },
): number[] {
  const { conversation_history, ...rest } = options;
  if ("add_generation_prompt" in rest) {
    throw new OptionError("encode_message_with_chat_template: add_generation_prompt is not possible here", {
      where: "add_generation_prompt",
    });
  }
  const history = conversation_history ?? [];
  const encode = (conversation: readonly ChatMessage[]): number[] =>
    tokenizer.apply_chat_template(conversation, { ...rest, return_dict: false, return_tensors: null });
  const ids = encode([...history, message]);
  if (history.length === 0) return ids;
  const before = encode(history);
  const apart = before.findIndex((id, i) => id !== ids[i]);
  return ids.slice(apart < 0 ? Math.min(before.length, ids.length) : apart);
}

/** The caller's own variables. @throws OptionError for a name that the template does not read */
function variablesOf(
  options: TokenizerChatOptions,
  { template, own }: ChosenTemplate,
): Record<string, unknown> {
  const { variables } = describeChatTemplate(template, own);
  const rest = Object.entries(options).filter(([name]) => !CHAT_OPTIONS.includes(name));
  for (const [name] of rest) {
    if (!variables.has(name))
      throw unknownOption("apply_chat_template", name, [...CHAT_OPTIONS, ...variables]);
  }
  return Object.fromEntries(rest);
}

/** What a template is shown of the caller's. */
export interface Shown {
  conversations: readonly (readonly Readonly<Record<string, unknown>>[])[];
  tools: unknown;
  documents: unknown;
  variables: Readonly<Record<string, unknown>>;
}

/** The same with control tokens marked. @throws OptionError where that cannot be followed to the ids */
export function sanitized(
  tokenizer: TokenizersBackend,
  { template, own }: ChosenTemplate,
  shown: Shown,
  tokenize: boolean,
  mask: boolean,
): Shown {
  if (!tokenize || mask) {
    throw new OptionError(
      "sanitize_control_tokens needs tokenize: true, and excludes return_assistant_tokens_mask",
      { where: "sanitize_control_tokens" },
    );
  }
  const tokens = controlTokens(tokenizer.backend_tokenizer, template, own, tokenizer.chat_control_tokens);
  return markControlTokens(shown, tokens);
}

/** Adds `assistant_masks`: 1 from the token that a generated span begins in to the one that it ends in. */
function withMasks(encoded: BatchEncoding, generation: readonly Span[][]): BatchEncoding {
  const ids = encoded.input_ids as unknown;
  const masks = generation.map((spans, row) => {
    const mask: number[] = Array(encoded.tokens(row).length).fill(0);
    for (const [start, end] of spans) {
      const first = encoded.char_to_token(row, start);
      // The span was cut off.
      if (first === null) break;
      const last = encoded.char_to_token(row, end - 1);
      mask.fill(1, first, last ? last + 1 : mask.length);
    }
    return mask;
  });
  if (ids instanceof Tensor) return Object.assign(encoded, { assistant_masks: Tensor.fromNested(masks) });
  const single = Array.isArray(ids) && !Array.isArray(ids[0]);
  return Object.assign(encoded, { assistant_masks: single ? masks[0] : masks }) as BatchEncoding;
}
