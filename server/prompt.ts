import { OptionError, type RawImage, ShapeError, type Tensor } from "../src/index.ts";
import { ApiError, invalid } from "./errors.ts";
import { CHARACTERS_PER_TOKEN, type Limits } from "./limits.ts";
import type { Resident } from "./model_pool.ts";
import { type PictureSources, readPicture } from "./pictures.ts";
import type { Message } from "./schema.ts";

/** What a model continues. */
export interface Prompt {
  ids: number[];
  pictures: number;
  /** As `generate` takes them. */
  pixel_values?: Tensor;
  image_sizes?: Tensor;
}

type Part = { type: "image"; image: RawImage } | { type: "text"; text: string };

type Turn = { role: string; content: Part[] };

export interface PromptContext extends PictureSources {
  limits: Limits;
  signal: AbortSignal;
}

/** A conversation as the model's template writes it. */
export async function chatPrompt(
  resident: Resident,
  messages: readonly Message[],
  context: PromptContext,
): Promise<Prompt> {
  checkText(resident, messages);
  const conversation: Turn[] = [];
  for (const [m, message] of messages.entries()) {
    conversation.push({ role: roleOf(message), content: await partsOf(message, `messages[${m}]`, context) });
  }
  const make = (): Promise<Prompt> => made(resident, conversation);
  return resident.prompts?.take(conversation, make) ?? make();
}

async function made(resident: Resident, conversation: Turn[]): Promise<Prompt> {
  const { input_ids, pixel_values, image_sizes } = await render(resident, conversation);
  const ids = Array.from(input_ids.data, Number);
  checkLength(resident, ids.length, "messages");
  const pictures = conversation.flatMap(({ content }) => content).filter(({ type }) => type === "image");
  return { ids, pictures: pictures.length, pixel_values, image_sizes };
}

/** A text as it stands, or tokens. */
export function textPrompt(resident: Resident, prompt: string | readonly number[]): Prompt {
  const { model, processor } = resident;
  if (typeof prompt === "string") {
    checkCharacters(resident, prompt.length, "prompt");
    refusePlaceholder(resident, prompt, "prompt");
  }
  const ids = typeof prompt === "string" ? processor.tokenizer.encode(prompt) : [...prompt];
  const vocabulary = model.config.text_config.vocab_size;
  const wrong = ids.find((id) => id >= vocabulary || id === model.config.image_token_id);
  if (wrong !== undefined) throw invalid("prompt", `${wrong} is no token of a text`);
  if (ids.length === 0) throw invalid("prompt", "is empty");
  checkLength(resident, ids.length, "prompt");
  return { ids, pictures: 0 };
}

/** Tokens that the model was made for. */
export function contextOf({ model }: Resident): number {
  return model.config.text_config.max_position_embeddings;
}

function roleOf({ role }: Message): string {
  return role === "developer" ? "system" : role;
}

/** Templates take parts, not text. */
async function partsOf({ content }: Message, where: string, context: PromptContext): Promise<Part[]> {
  if (typeof content === "string") return [{ type: "text", text: content }];
  const parts: Part[] = [];
  for (const [p, part] of content.entries()) {
    if (part.type === "text") {
      parts.push({ type: "text", text: part.text });
      continue;
    }
    const { limits, signal } = context;
    const param = `${where}.content[${p}].image_url`;
    parts.push({
      type: "image",
      image: await readPicture(part.image_url.url, param, limits, context, signal),
    });
  }
  return parts;
}

type Rendered = { input_ids: Tensor; pixel_values?: Tensor; image_sizes?: Tensor };

/** @throws ApiError where the template does not take the conversation, or a picture is too odd to be prepared */
async function render({ processor }: Resident, conversation: Turn[]): Promise<Rendered> {
  try {
    return await processor.apply_chat_template(conversation, {
      add_generation_prompt: true,
      tokenize: true,
      return_dict: true,
    });
  } catch (error) {
    if (!(error instanceof OptionError) && !(error instanceof ShapeError)) throw error;
    throw new ApiError(400, "messages: this model's template does not take this conversation.", {
      param: "messages",
      code: "invalid_messages",
    });
  }
}

function checkText(resident: Resident, messages: readonly Message[]): void {
  let characters = 0;
  for (const [m, { content }] of messages.entries()) {
    for (const text of textsOf(content)) {
      characters += text.length;
      refusePlaceholder(resident, text, `messages[${m}].content`);
    }
  }
  checkCharacters(resident, characters, "messages");
}

function textsOf(content: Message["content"]): string[] {
  if (typeof content === "string") return [content];
  return content.flatMap((part: { type: string; text?: string }) => part.text ?? []);
}

/** What stands for a picture in prompts must come from pictures alone. */
function refusePlaceholder({ processor }: Resident, text: string, param: string): void {
  const { image_token } = processor;
  if (text.includes(image_token)) {
    throw invalid(
      param,
      `text must not contain ${image_token}, which stands for a picture in this model's prompts`,
    );
  }
}

function checkCharacters(resident: Resident, characters: number, param: string): void {
  if (characters > contextOf(resident) * CHARACTERS_PER_TOKEN) throw tooLong(resident, param);
}

function checkLength(resident: Resident, tokens: number, param: string): void {
  if (tokens >= contextOf(resident)) throw tooLong(resident, param, tokens);
}

function tooLong(resident: Resident, param: string, tokens?: number): ApiError {
  const context = contextOf(resident);
  const length = tokens === undefined ? "far more" : `${tokens}`;
  return new ApiError(400, `${param}: the model's context is ${context} tokens, this prompt has ${length}.`, {
    param,
    code: "context_length_exceeded",
  });
}
