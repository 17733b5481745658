import { warnOnce } from "../../base/env.ts";
import { OptionError, UnsupportedError } from "../../base/errors.ts";
import { unknownOption } from "../../base/options.ts";
import { describeChatTemplate, renderChatTemplate, type TemplateMessage } from "../../text/chat_template.ts";
import { sanitized } from "../tokenization/apply_chat_template.ts";
import { batchOf, checkContinue, chooseTemplate } from "../tokenization/chat.ts";
import { BatchFeature, type TensorType } from "./batch_feature.ts";
import type { ImageInput, SingleImage } from "./image_inputs.ts";
import { assistantMask } from "./placeholders.ts";
import type { ProcessorMixin } from "./processing_utils.ts";
import { knownKwargs, type ProcessingKwargs, type ProcessorArguments } from "./processor_kwargs.ts";

/** What a processor's `apply_chat_template` takes. */
export interface ProcessorChatOptions {
  /** A template, or the name of one. */
  chat_template?: string | null;
  tools?: unknown;
  documents?: unknown;
  add_generation_prompt?: boolean;
  /** Leaves the last message open: true for its content, or the name of the field. */
  continue_final_message?: boolean | string;
  /** Adds `assistant_masks`: 1 for tokens that a `generation` block of the template wrote. */
  return_assistant_tokens_mask?: boolean;
  /** Prepares the prompt for the model; without it, the prompt comes as text. */
  tokenize?: boolean;
  /** `"pt"` and `"np"` both give Tensors, the default; null gives nested arrays. */
  return_tensors?: TensorType | "auto" | null;
  /** Gives everything that the model takes, not the ids alone. */
  return_dict?: boolean;
  /** Takes control tokens in what the caller gives for ordinary text. */
  sanitize_control_tokens?: boolean;
  load_audio_from_video?: false;
  /** For templates that read it. */
  reasoning_effort?: string | null;
  /** Options of the processor; `images` may be among them. */
  processor_kwargs?: (ProcessingKwargs & { images?: ImageInput | null }) | null;
  /** Variables of the template, and options of the processor. */
  [key: string]: unknown;
}

const CHAT_OPTIONS = [
  "chat_template",
  "tools",
  "documents",
  "add_generation_prompt",
  "continue_final_message",
  "return_assistant_tokens_mask",
  "tokenize",
  "return_tensors",
  "return_dict",
  "sanitize_control_tokens",
  "load_audio_from_video",
  "processor_kwargs",
];

/** Renders conversations, and prepares them for the model where `tokenize` says so. */
export async function applyChatTemplate(
  processor: ProcessorMixin,
  conversation: unknown,
  options: ProcessorChatOptions,
  imageKwargs: readonly string[],
): Promise<unknown> {
  const chosen = chooseTemplate(processor.chat_template, options.chat_template, "processor");
  const { variables, kwargs } = sortOptions(options, chosen, imageKwargs);
  checkContinue(options);
  checkMask(options);
  const batch = batchOf(conversation);
  const conversations = batch.conversations.map((messages) => messages.map(withImageParts));
  const given = { conversations, tools: options.tools, documents: options.documents, variables };
  const shown = options.sanitize_control_tokens
    ? sanitized(
        processor.tokenizer,
        chosen,
        given,
        options.tokenize === true,
        options.return_assistant_tokens_mask === true,
      )
    : given;
  const { prompts, generation } = renderChatTemplate({
    ...shown,
    ...chosen,
    variables: { ...processor.tokenizer.special_tokens_map, ...shown.variables },
    add_generation_prompt: options.add_generation_prompt ?? false,
    continue_final_message: options.continue_final_message ?? false,
    return_assistant_tokens_mask: options.return_assistant_tokens_mask ?? false,
  });
  warnOfLostText(conversations, prompts);
  if (!options.tokenize) return batch.batched ? prompts : prompts[0];
  const args = argumentsFor(processor, conversations, prompts, kwargs, options, batch.batched);
  const { data, tensors, replacements } = await processor.process(args);
  if (options.return_assistant_tokens_mask) {
    const { offset_mapping, text_replacement_offsets, ...rest } = data;
    rest.assistant_masks = (offset_mapping as [number, number][][]).map((offsets, i) =>
      assistantMask(offsets, generation[i], replacements[i]),
    );
    return new BatchFeature(rest, tensors);
  }
  const out = new BatchFeature(data, tensors, ["text_replacement_offsets"]);
  return options.return_dict ? out : out.get("input_ids");
}

/** Variables of the template, and options of the processor. @throws OptionError for keys that neither knows */
function sortOptions(
  options: ProcessorChatOptions,
  { template, own }: { template: string; own: boolean },
  imageKwargs: readonly string[],
): { variables: Record<string, unknown>; kwargs: Record<string, unknown> } {
  if ((options.load_audio_from_video as unknown) === true) {
    throw new UnsupportedError("load_audio_from_video: LLaVA takes pictures and text only", {
      where: "load_audio_from_video",
    });
  }
  const read = describeChatTemplate(template, own).variables;
  const known = knownKwargs(imageKwargs);
  const rest = Object.entries(options).filter(([name]) => !CHAT_OPTIONS.includes(name));
  for (const [name] of rest) {
    if (!read.has(name) && !known.includes(name)) {
      throw unknownOption("apply_chat_template", name, [...CHAT_OPTIONS, ...read, ...known]);
    }
  }
  return {
    variables: Object.fromEntries(rest.filter(([name]) => read.has(name))),
    kwargs: { ...options.processor_kwargs, ...Object.fromEntries(rest.filter(([name]) => !read.has(name))) },
  };
}

function checkMask(options: ProcessorChatOptions): void {
  if (!options.return_assistant_tokens_mask || (options.tokenize && options.return_dict)) return;
  throw new OptionError("return_assistant_tokens_mask needs tokenize: true and return_dict: true", {
    where: "return_assistant_tokens_mask",
  });
}

/** OpenAI's `image_url` parts as `image` parts. */
function withImageParts(message: TemplateMessage): TemplateMessage {
  if (!Array.isArray(message.content)) return message;
  return { ...message, content: message.content.map(imagePart) };
}

function imagePart(part: unknown): unknown {
  if (typeof part !== "object" || part === null || !("type" in part) || part.type !== "image_url")
    return part;
  if (!("image_url" in part)) return part;
  const { image_url } = part;
  const url =
    typeof image_url === "object" && image_url !== null
      ? ((image_url as { url?: unknown }).url ?? "")
      : image_url;
  return { type: "image", url };
}

/** Names under which a message gives a picture, in the order in which they are looked at. */
const IMAGE_KEYS = ["image", "url", "path", "base64"];

/** The pictures of a conversation, in the order of its messages. */
function picturesOf(messages: readonly TemplateMessage[]): SingleImage[] {
  return messages.flatMap(({ content }) => (Array.isArray(content) ? content : []).flatMap(picturesIn));
}

function picturesIn(part: unknown): SingleImage[] {
  if (typeof part !== "object" || part === null || !("type" in part)) {
    throw new OptionError(
      `Each part of a message's content is { type: "text", text } or { type: "image", ... }, got ${JSON.stringify(part)}`,
      { where: "conversation", got: part },
    );
  }
  if (part.type !== "image") return [];
  const given = part as unknown as Record<string, SingleImage | null | undefined>;
  return IMAGE_KEYS.flatMap((key) => given[key] ?? []);
}

/** What the processor is called with. */
function argumentsFor(
  processor: ProcessorMixin,
  conversations: readonly (readonly TemplateMessage[])[],
  prompts: readonly string[],
  kwargs: Record<string, unknown>,
  options: ProcessorChatOptions,
  batched: boolean,
): ProcessorArguments {
  const { images: given, ...rest } = kwargs as Record<string, unknown> & { images?: ImageInput | null };
  const pictures = given
    ? batched || Array.isArray(given)
      ? given
      : [given as SingleImage]
    : conversations.map(picturesOf);
  const hasPictures = Array.isArray(pictures) && pictures.flat().length > 0;
  const args: Record<string, unknown> = { ...rest, text: prompts, images: hasPictures ? pictures : null };
  // A template that writes the special tokens itself leaves none for the tokenizer to add.
  const { bos_token } = processor.tokenizer;
  if (bos_token !== null && prompts[0].startsWith(bos_token)) args.add_special_tokens = false;
  if (options.sanitize_control_tokens) args.sanitize_control_tokens = true;
  if (options.return_tensors !== undefined && options.return_tensors !== "auto") {
    args.return_tensors = options.return_tensors;
  }
  if (options.return_assistant_tokens_mask) args.return_offsets_mapping = true;
  return args as ProcessorArguments;
}

/** Says so where a template written for parts has left out content that is plain text, as it does in Transformers. */
function warnOfLostText(
  conversations: readonly (readonly TemplateMessage[])[],
  prompts: readonly string[],
): void {
  conversations.forEach((messages, i) => {
    const lost = messages.some(
      ({ content }) => typeof content === "string" && !prompts[i].includes(content.trim()),
    );
    if (!lost) return;
    warnOnce(
      'The chat template reads only parts, and left out content that is plain text. Give content: [{ type: "text", text: "..." }].',
    );
  });
}
