import type {
  JSONSchema7,
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3FinishReason,
  LanguageModelV3GenerateResult,
  LanguageModelV3StreamPart,
  LanguageModelV3StreamResult,
  LanguageModelV3Usage,
  SharedV3Warning,
} from "@ai-sdk/provider";
import type { JSONSchema, ModelFromPretrainedOptions } from "../src/index.ts";
import { conversationOf } from "./ai_sdk_prompt.ts";
import { type ChatAnswer, ChatEngine, type ChatSettings, type LoadedModel } from "./chat_engine.ts";

export type { LoadedModel } from "./chat_engine.ts";

const PROVIDER = "llava";
/** All text of an answer is one block. */
const BLOCK = "0";

/** Gives models to the AI SDK: `llava("llava-hf/llava-1.5-7b-hf")`. */
export type LlavaProvider = (model: string) => LanguageModelV3;

/**
 * A provider for the AI SDK (`ai` 6) whose models run in this process. A model is loaded when it is first asked, once
 * for each name.
 *
 * @param options how models are loaded, as `from_pretrained` takes it
 */
export function createLlava(options: ModelFromPretrainedOptions = {}): LlavaProvider {
  const models = new Map<string, LanguageModelV3>();
  return (name) => {
    const model = models.get(name) ?? new LlavaLanguageModel(name, new ChatEngine(name, options));
    models.set(name, model);
    return model;
  };
}

/** A model that is loaded already, for the AI SDK. */
export function languageModel(loaded: LoadedModel, name = "llava"): LanguageModelV3 {
  return new LlavaLanguageModel(name, new ChatEngine(loaded));
}

class LlavaLanguageModel implements LanguageModelV3 {
  readonly specificationVersion = "v3";
  readonly provider = PROVIDER;
  readonly modelId: string;
  /** The SDK fetches pictures. */
  readonly supportedUrls = {};
  readonly #engine: ChatEngine;

  constructor(modelId: string, engine: ChatEngine) {
    this.modelId = modelId;
    this.#engine = engine;
  }

  async doGenerate(options: LanguageModelV3CallOptions): Promise<LanguageModelV3GenerateResult> {
    const { conversation, warnings } = conversationOf(options.prompt);
    const answer = await this.#engine.answer(conversation, settingsOf(options), options.abortSignal);
    return {
      content: answer.text === "" ? [] : [{ type: "text", text: answer.text }],
      finishReason: finishOf(answer),
      usage: usageOf(answer),
      warnings: [...warnings, ...unsupported(options)],
      response: this.#response(),
    };
  }

  async doStream(options: LanguageModelV3CallOptions): Promise<LanguageModelV3StreamResult> {
    const { conversation, warnings } = conversationOf(options.prompt);
    const cancelled = new AbortController();
    const signal = AbortSignal.any([cancelled.signal, ...(options.abortSignal ? [options.abortSignal] : [])]);
    const stream = new ReadableStream<LanguageModelV3StreamPart>({
      start: (controller) => {
        controller.enqueue({ type: "stream-start", warnings: [...warnings, ...unsupported(options)] });
        controller.enqueue({ type: "response-metadata", ...this.#response() });
        controller.enqueue({ type: "text-start", id: BLOCK });
        const onPiece = ({ text }: { text: string }): void => {
          if (text !== "" && !signal.aborted)
            controller.enqueue({ type: "text-delta", id: BLOCK, delta: text });
        };
        void this.#engine.answer(conversation, settingsOf(options), signal, onPiece).then(
          (answer) => {
            controller.enqueue({ type: "text-end", id: BLOCK });
            controller.enqueue({ type: "finish", finishReason: finishOf(answer), usage: usageOf(answer) });
            controller.close();
          },
          (error: unknown) => {
            if (cancelled.signal.aborted) return;
            controller.enqueue({ type: "error", error });
            controller.close();
          },
        );
      },
      cancel: (reason) => cancelled.abort(reason),
    });
    return { stream };
  }

  #response(): { id: string; timestamp: Date; modelId: string } {
    return { id: globalThis.crypto.randomUUID(), timestamp: new Date(), modelId: this.modelId };
  }
}

function settingsOf(options: LanguageModelV3CallOptions): ChatSettings {
  const { responseFormat } = options;
  return {
    max_tokens: options.maxOutputTokens,
    temperature: options.temperature,
    top_p: options.topP,
    top_k: options.topK,
    presence_penalty: options.presencePenalty,
    frequency_penalty: options.frequencyPenalty,
    seed: options.seed,
    stop: options.stopSequences,
    schema: responseFormat?.type === "json" ? schemaOf(responseFormat.schema) : undefined,
  };
}

/** Both are JSON; the types of the one say more about it. */
function schemaOf(schema: JSONSchema7 | undefined): JSONSchema {
  return schema === undefined ? { type: "object" } : (schema as JSONSchema);
}

/** What was asked for and is not there. */
function unsupported({ tools, toolChoice, providerOptions }: LanguageModelV3CallOptions): SharedV3Warning[] {
  const warnings: SharedV3Warning[] = [];
  if (tools && tools.length > 0) warnings.push({ type: "unsupported", feature: "tools" });
  if (toolChoice && !["auto", "none"].includes(toolChoice.type)) {
    warnings.push({ type: "unsupported", feature: "toolChoice" });
  }
  for (const name of Object.keys(providerOptions?.[PROVIDER] ?? {})) {
    warnings.push({ type: "unsupported", feature: `providerOptions.${PROVIDER}.${name}` });
  }
  return warnings;
}

function finishOf({ finish_reason }: ChatAnswer): LanguageModelV3FinishReason {
  return { unified: finish_reason, raw: finish_reason };
}

function usageOf({ prompt_tokens, tokens, cached }: ChatAnswer): LanguageModelV3Usage {
  return {
    inputTokens: {
      total: prompt_tokens,
      noCache: prompt_tokens - cached,
      cacheRead: cached,
      cacheWrite: undefined,
    },
    outputTokens: { total: tokens, text: tokens, reasoning: undefined },
  };
}
