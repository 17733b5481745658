import { type Choice, type ChoiceRequest, generateChoice, type Piece } from "../server/choice.ts";
import { ApiError } from "../server/errors.ts";
import type { Loaded } from "../server/model_pool.ts";
import type { Prompt } from "../server/prompt.ts";
import {
  AutoProcessor,
  LlavaForConditionalGeneration,
  load_image,
  type ModelFromPretrainedOptions,
  OptionError,
} from "../src/index.ts";

/** What `load_image` takes. */
export type Picture = Parameters<typeof load_image>[0];

/** One part of a turn. */
export type ChatPart = { type: "text"; text: string } | { type: "image"; image: Picture };

export interface ChatTurn {
  role: "system" | "user" | "assistant";
  content: ChatPart[];
}

/** How an answer is made. Without temperature and top_p, the likeliest token is always taken. */
export type ChatSettings = Omit<ChoiceRequest, "max_tokens" | "stop" | "top_logprobs"> & {
  max_tokens?: number;
  stop?: readonly string[];
};

/** An answer, with the tokens of what it is an answer to. */
export interface ChatAnswer extends Choice {
  prompt_tokens: number;
}

/** A model with its processor, made by `from_pretrained`; who made it disposes of it. */
export type LoadedModel = Pick<Loaded, "model" | "processor">;

/** Tokens of an answer where nothing else is said: those of the command line. */
const DEFAULT_MAX_TOKENS = 256;

/** Answers conversations with one model, in this process. Loads it at the first one; calls that overlap share steps. */
export class ChatEngine {
  readonly #load: () => Promise<LoadedModel>;
  #ready: Promise<LoadedModel> | undefined;

  /** @param source a folder, a Hub id or "llava-demo", or a model that is loaded */
  constructor(source: string | LoadedModel, options: ModelFromPretrainedOptions = {}) {
    this.#load = typeof source === "string" ? () => loadBoth(source, options) : async () => source;
  }

  /** @param onPiece told of the answer as it comes */
  async answer(
    conversation: readonly ChatTurn[],
    settings: ChatSettings,
    signal: AbortSignal = new AbortController().signal,
    onPiece: (piece: Piece) => void = () => {},
  ): Promise<ChatAnswer> {
    signal.throwIfAborted();
    const ready = await this.#model();
    const prompt = await promptOf(ready, conversation, signal);
    const { max_tokens = DEFAULT_MAX_TOKENS, stop = [], ...rest } = settings;
    const room = ready.model.config.text_config.max_position_embeddings - prompt.ids.length;
    if (room < 1) {
      throw new OptionError(
        `The conversation has ${prompt.ids.length} tokens, and the model's context leaves no room for an answer`,
        { expected: `fewer than ${room + prompt.ids.length}`, got: prompt.ids.length },
      );
    }
    const request = { ...rest, stop, max_tokens: Math.min(max_tokens, room) };
    try {
      const choice = await generateChoice(ready, prompt, request, 0, { onToken: () => {}, onPiece }, signal);
      return { ...choice, prompt_tokens: prompt.ids.length };
    } catch (error) {
      if (error instanceof ApiError)
        throw new OptionError(error.message, { where: error.param ?? undefined });
      throw error;
    }
  }

  #model(): Promise<LoadedModel> {
    this.#ready ??= this.#load();
    const ready = this.#ready;
    ready.catch(() => {
      // The next call tries again.
      if (this.#ready === ready) this.#ready = undefined;
    });
    return ready;
  }
}

async function loadBoth(name: string, options: ModelFromPretrainedOptions): Promise<LoadedModel> {
  const { revision, token, cache_dir, local_files_only } = options;
  const [model, processor] = await Promise.all([
    LlavaForConditionalGeneration.from_pretrained(name, options),
    AutoProcessor.from_pretrained(name, { revision, token, cache_dir, local_files_only }),
  ]);
  return { model, processor };
}

async function promptOf(
  { processor }: LoadedModel,
  conversation: readonly ChatTurn[],
  signal: AbortSignal,
): Promise<Prompt> {
  const turns = await Promise.all(
    conversation.map(async ({ role, content }) => ({
      role,
      content: await Promise.all(
        content.map(async (part) =>
          part.type === "text"
            ? part
            : { type: "image" as const, image: await load_image(part.image, { signal }) },
        ),
      ),
    })),
  );
  const inputs = await processor.apply_chat_template(turns, {
    add_generation_prompt: true,
    tokenize: true,
    return_dict: true,
  });
  const { input_ids, pixel_values, image_sizes } = inputs;
  const pictures = pixel_values?.shape[0] ?? 0;
  return { ids: Array.from(input_ids.data, Number), pictures, pixel_values, image_sizes };
}
