import type { GenerateOptions } from "../generation/generate_options.ts";
import type { ProcessingKwargs } from "../models/processing/processor_kwargs.ts";
import type { ChatMessage, Conversation } from "../models/tokenization/chat.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { PipelineImages } from "./pipeline_inputs.ts";

/** What a pipeline gives: 0 ids, 1 the new text, 2 the prompt with the new text. */
export const ReturnType = { TENSORS: 0, NEW_TEXT: 1, FULL_TEXT: 2 } as const;
export type ReturnType = (typeof ReturnType)[keyof typeof ReturnType];

/** Prompts: a text, texts, a conversation, or conversations. */
export type PipelineText = string | readonly string[] | Conversation | readonly Conversation[];

/** What a pipeline may be told, when it is made and in each call. What the call says goes before. */
export interface PipelineSettings {
  /** Default: 256, unless the checkpoint says otherwise. */
  max_new_tokens?: number;
  /** Arguments of `generate`. */
  generate_kwargs?: Partial<GenerateOptions>;
  /** Longest wait for pictures, in seconds. */
  timeout?: number;
  /** false: only the new text. Default: the prompt, too. */
  return_full_text?: boolean;
  /** true: ids in place of text. */
  return_tensors?: boolean;
  return_type?: ReturnType;
  clean_up_tokenization_spaces?: boolean;
  /** Ends the answer; it is part of it. */
  stop_sequence?: string | string[];
  /** Whether the last message is continued. Default: where it is the assistant's. */
  continue_final_message?: boolean;
  /** Default: true. */
  skip_special_tokens?: boolean;
  /** Options of the processor. */
  processor_kwargs?: ProcessingKwargs;
  /** Items that are worked on at the same time, where a call has several. Default: 1. */
  batch_size?: number;
}

/** Options of a call; what is not among them goes to the processor, or to the chat template. */
export interface PipelineCallOptions extends PipelineSettings {
  images?: PipelineImages | null;
  text?: PipelineText | null;
  /** Our own: stops the work. */
  signal?: AbortSignal;
  [option: string]: unknown;
}

/** The first argument of a call: pictures, prompts, or an object of both. */
export type PipelineInputs = PipelineImages | PipelineText | PipelineCallOptions;

/** One answer. */
export interface PipelineRecord<Input, Answer> {
  input_text: Input;
  generated_text: Answer;
}

/** One answer as ids, those of the prompt before it. */
export interface PipelineIds<Input> {
  input_text: Input;
  generated_token_ids: Tensor;
}

type TextIn<I, O> = O extends { text: infer T } ? T : I extends { text: infer T } ? T : I;
type Both<I, O> = I extends PipelineCallOptions ? I & O : O;
type RecordFor<Input, Flags> = Flags extends { return_tensors: true }
  ? PipelineIds<Input>
  : PipelineRecord<
      Input,
      Input extends string ? string : Flags extends { return_full_text: false } ? string : ChatMessage[]
    >;
type HasImages<I, O> =
  Both<I, O> extends { images: PipelineImages }
    ? true
    : I extends string | readonly string[]
      ? O extends { text: unknown }
        ? true
        : false
      : false;

/** What a call gives: a list of answers; a list of lists where it is about several chats, or texts without pictures. */
export type PipelineResult<I, O> =
  TextIn<I, O> extends readonly (readonly unknown[])[]
    ? RecordFor<Conversation, Both<I, O>>[][]
    : TextIn<I, O> extends string
      ? RecordFor<string, Both<I, O>>[]
      : TextIn<I, O> extends readonly string[]
        ? HasImages<I, O> extends true
          ? RecordFor<string, Both<I, O>>[]
          : RecordFor<string, Both<I, O>>[][]
        : RecordFor<Conversation, Both<I, O>>[];
