import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager";
import type {
  BaseLanguageModelInput,
  StructuredOutputMethodOptions,
} from "@langchain/core/language_models/base";
import {
  BaseChatModel,
  type BaseChatModelCallOptions,
  type BaseChatModelParams,
} from "@langchain/core/language_models/chat_models";
import { AIMessage, AIMessageChunk, type BaseMessage } from "@langchain/core/messages";
import { ChatGenerationChunk, type ChatResult } from "@langchain/core/outputs";
import type { Runnable } from "@langchain/core/runnables";
import { toJsonSchema } from "@langchain/core/utils/json_schema";
import type { JSONSchema, ModelFromPretrainedOptions } from "../src/index.ts";
import { type ChatAnswer, ChatEngine, type ChatSettings, type LoadedModel } from "./chat_engine.ts";
import { turnOf } from "./langchain_messages.ts";

export type { LoadedModel } from "./chat_engine.ts";

type OutputSchema = Parameters<typeof toJsonSchema>[0];

/** How answers are made; without temperature and topP, the likeliest token is always taken. */
interface Settings {
  maxTokens?: number;
  temperature?: number;
  topP?: number;
  topK?: number;
  seed?: number;
  /** Where an answer ends, the text itself left out. */
  stop?: string[];
}

export interface ChatLlavaFields extends Settings, BaseChatModelParams {
  /** A folder, a Hub id, "llava-demo", or a model that is loaded. */
  model: string | LoadedModel;
  /** How a model is loaded that is given by its name. */
  loading?: ModelFromPretrainedOptions;
}

export interface ChatLlavaCallOptions extends Settings, BaseChatModelCallOptions {
  /** The answer is JSON that is valid for it. */
  schema?: JSONSchema;
}

/** LangChain's chat model over a LLaVA in this process. It is loaded at the first message. */
export class ChatLlava extends BaseChatModel<ChatLlavaCallOptions> {
  readonly model: string;
  readonly #engine: ChatEngine;
  readonly #settings: Settings;

  constructor({ model, loading, maxTokens, temperature, topP, topK, seed, stop, ...rest }: ChatLlavaFields) {
    super(rest);
    this.model = typeof model === "string" ? model : "llava";
    this.#engine = new ChatEngine(model, loading);
    this.#settings = { maxTokens, temperature, topP, topK, seed, stop };
  }

  static override lc_name(): string {
    return "ChatLlava";
  }

  override _llmType(): string {
    return "llava";
  }

  override async _generate(
    messages: BaseMessage[],
    options: this["ParsedCallOptions"],
    runManager?: CallbackManagerForLLMRun,
  ): Promise<ChatResult> {
    const answer = await this.#answer(messages, options, (text) => void runManager?.handleLLMNewToken(text));
    const message = new AIMessage({
      content: answer.text,
      usage_metadata: usageOf(answer),
      response_metadata: { finish_reason: answer.finish_reason, model: this.model },
    });
    return { generations: [{ text: answer.text, message }], llmOutput: { tokenUsage: usageOf(answer) } };
  }

  override async *_streamResponseChunks(
    messages: BaseMessage[],
    options: this["ParsedCallOptions"],
    runManager?: CallbackManagerForLLMRun,
  ): AsyncGenerator<ChatGenerationChunk> {
    const left = new AbortController();
    const signal = AbortSignal.any([left.signal, ...(options.signal ? [options.signal] : [])]);
    const texts: string[] = [];
    let wake = (): void => {};
    let ended = false;
    const answering = this.#answer(messages, { ...options, signal }, (text) => {
      texts.push(text);
      wake();
    });
    const settled = answering
      .catch(() => {})
      .then(() => {
        ended = true;
        wake();
      });
    try {
      while (!ended || texts.length > 0) {
        const text = texts.shift();
        if (text === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        yield new ChatGenerationChunk({ text, message: new AIMessageChunk({ content: text }) });
        await runManager?.handleLLMNewToken(text);
      }
      const answer = await answering;
      const message = new AIMessageChunk({
        content: "",
        usage_metadata: usageOf(answer),
        response_metadata: { finish_reason: answer.finish_reason, model: this.model },
      });
      yield new ChatGenerationChunk({ text: "", message });
    } finally {
      // Who reads no further wants no more tokens.
      left.abort();
      await settled;
    }
  }

  /** Answers are held to the schema while they are made, so there is one method only, and no tool. */
  override withStructuredOutput<Output extends Record<string, unknown> = Record<string, unknown>>(
    outputSchema: OutputSchema,
    config?: StructuredOutputMethodOptions<false>,
  ): Runnable<BaseLanguageModelInput, Output>;
  override withStructuredOutput<Output extends Record<string, unknown> = Record<string, unknown>>(
    outputSchema: OutputSchema,
    config: StructuredOutputMethodOptions<true>,
  ): Runnable<BaseLanguageModelInput, { raw: BaseMessage; parsed: Output }>;
  override withStructuredOutput<Output extends Record<string, unknown> = Record<string, unknown>>(
    outputSchema: OutputSchema,
    config: StructuredOutputMethodOptions<boolean> = {},
  ):
    | Runnable<BaseLanguageModelInput, Output>
    | Runnable<BaseLanguageModelInput, { raw: BaseMessage; parsed: Output }> {
    const model = this.withConfig({ schema: toJsonSchema(outputSchema) as JSONSchema });
    const parse = (message: BaseMessage): Output => JSON.parse(message.text) as Output;
    if (!config.includeRaw) return model.pipe(parse);
    return model.pipe((raw: BaseMessage) => ({ raw, parsed: parse(raw) }));
  }

  #answer(
    messages: readonly BaseMessage[],
    options: this["ParsedCallOptions"],
    onText: (text: string) => void,
  ): Promise<ChatAnswer> {
    const settings = settingsOf({ ...this.#settings, ...withoutUndefined(options) });
    const onPiece = ({ text }: { text: string }): void => {
      if (text !== "") onText(text);
    };
    return this.#engine.answer(messages.map(turnOf), settings, options.signal, onPiece);
  }
}

function withoutUndefined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function settingsOf(options: Partial<ChatLlavaCallOptions>): ChatSettings {
  const { maxTokens, temperature, topP, topK, seed, stop, schema } = options;
  return { max_tokens: maxTokens, temperature, top_p: topP, top_k: topK, seed, stop, schema };
}

function usageOf({ prompt_tokens, tokens, cached }: ChatAnswer): {
  input_tokens: number;
  output_tokens: number;
  total_tokens: number;
  input_token_details: { cache_read: number };
} {
  return {
    input_tokens: prompt_tokens,
    output_tokens: tokens,
    total_tokens: prompt_tokens + tokens,
    input_token_details: { cache_read: cached },
  };
}
