import { OptionError } from "../base/errors.ts";
import type { ProcessorMixin } from "../models/processing/processing_utils.ts";
import type { ChatMessage, Conversation } from "../models/tokenization/chat.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { PipelineItem } from "./pipeline_inputs.ts";
import { ReturnType } from "./pipeline_types.ts";

/** What `generate` made of an item. */
export interface Generated {
  item: PipelineItem;
  /** [B, P] */
  input_ids: Tensor;
  /** [B * candidates, L] */
  sequences: Tensor;
}

/** How it is to be shown. */
export interface ShowOptions {
  return_type?: ReturnType;
  continue_final_message?: boolean;
  skip_special_tokens?: boolean;
  clean_up_tokenization_spaces?: boolean;
}

/** One answer, as a caller sees it. */
export type Shown =
  | { input_text: string | Conversation; generated_text: string | Conversation }
  | { input_text: string | Conversation; generated_token_ids: Tensor };

/** Longest text that may stand before the prompt in what was generated. */
const RESIDUE = 2;

/** The answers to an item: one for each prompt and candidate. */
export function answers(processor: ProcessorMixin, generated: Generated, options: ShowOptions): Shown[] {
  const { item, input_ids, sequences } = generated;
  const { return_type = ReturnType.FULL_TEXT, skip_special_tokens = true } = options;
  const prompts = item.kind === "chat" ? [item.messages] : [item.text].flat();
  const candidates = Math.floor(sequences.shape[0] / prompts.length);
  const inputs: (string | Conversation)[] = prompts.flatMap((prompt) => Array(candidates).fill(prompt));
  if (return_type === ReturnType.TENSORS) {
    return inputs.map((input_text, i) => ({ input_text, generated_token_ids: rowOf(sequences, i) }));
  }
  const { clean_up_tokenization_spaces } = options;
  const decoding = { skip_special_tokens, clean_up_tokenization_spaces };
  const whole = processor.batch_decode(sequences, decoding);
  const given = processor.batch_decode(input_ids, decoding).flatMap((text) => Array(candidates).fill(text));
  return inputs.map((input_text, i) => {
    const text = withoutPrompt(whole[i], given[i]);
    if (return_type === ReturnType.NEW_TEXT) return { input_text, generated_text: text };
    if (typeof input_text === "string") return { input_text, generated_text: input_text + text };
    return { input_text, generated_text: continued(input_text, text, options.continue_final_message) };
  });
}

/** Whether an answer goes on with the last message: by default where it is the assistant's. */
export function continuesLast(messages: Conversation, said: boolean | undefined): boolean {
  return said ?? messages[messages.length - 1].role === "assistant";
}

/** @throws OptionError where the last message has no text that could be gone on with */
export function checkContinued(messages: Conversation): void {
  const { content } = messages[messages.length - 1];
  const last = Array.isArray(content) ? content[content.length - 1] : undefined;
  if (typeof last?.text === "string") return;
  throw new OptionError(
    'continue_final_message: the last message must end with a part { type: "text", text: "..." }',
    { where: "text", got: content },
  );
}

function continued(messages: Conversation, text: string, said: boolean | undefined): ChatMessage[] {
  if (!continuesLast(messages, said)) return [...messages, { role: "assistant", content: text }];
  const { role, content } = messages[messages.length - 1];
  const parts = content as readonly { type: string; text: string }[];
  const last = parts[parts.length - 1];
  const longer = { ...last, text: last.text + text };
  return [...messages.slice(0, -1), { role, content: [...parts.slice(0, -1), longer] }];
}

function withoutPrompt(text: string, prompt: string): string {
  const at = text.indexOf(prompt);
  return at >= 0 && [...text.slice(0, at)].length <= RESIDUE ? text.slice(at + prompt.length) : text;
}

function rowOf({ dtype, shape: [, L], data }: Tensor, row: number): Tensor {
  return new Tensor(dtype, [L], data.slice(row * L, (row + 1) * L));
}
