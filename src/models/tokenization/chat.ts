import { OptionError } from "../../base/errors.ts";
import type { TemplateMessage } from "../../text/chat_template.ts";
import type { ChatTemplates } from "./tokenizer_init.ts";

/** A picture in a message: given under one of these names, or none for a place holder. */
export interface ImagePart {
  type: "image";
  /** A picture that is at hand: bytes, a Blob, a RawImage. */
  image?: unknown;
  url?: string | URL;
  path?: string | URL;
  base64?: string;
}

/** A piece of text in a message. */
export interface TextPart {
  type: "text";
  text: string;
}

/** Any other part that a template knows, such as OpenAI's `image_url`. */
export interface OtherPart {
  type: string;
  [key: string]: unknown;
}

/** One message. Its content is parts; some templates take text as it is. */
export interface ChatMessage {
  role: string;
  content?: string | readonly (ImagePart | TextPart | OtherPart)[] | null;
  [key: string]: unknown;
}

export type Conversation = readonly ChatMessage[];

/** Which template to render with, and whether it is the checkpoint's own. */
export interface ChosenTemplate {
  template: string;
  own: boolean;
}

/**
 * The template to use: one that is named, one that is given literally, or the default.
 *
 * @param whose what the templates belong to, for messages
 * @throws OptionError where there is none
 */
export function chooseTemplate(
  templates: ChatTemplates | null,
  given: string | null | undefined,
  whose: string,
  preferred: readonly string[] = ["default"],
): ChosenTemplate {
  if (given !== null && given !== undefined) {
    if (typeof given !== "string") {
      throw new OptionError("chat_template: expected a template, or the name of one", {
        where: "chat_template",
        got: given,
      });
    }
    const named = isNamed(templates) && Object.hasOwn(templates, given) ? templates[given] : undefined;
    return named === undefined ? { template: given, own: false } : { template: named, own: true };
  }
  if (templates === null) {
    throw new OptionError(
      `This ${whose} has no chat template: the checkpoint has neither chat_template.jinja nor chat_template.json. Give one as chat_template.`,
      { where: "chat_template" },
    );
  }
  if (!isNamed(templates)) return { template: templates, own: true };
  const name = preferred.find((candidate) => Object.hasOwn(templates, candidate));
  if (name !== undefined) return { template: templates[name], own: true };
  const names = Object.keys(templates).sort().join(", ");
  throw new OptionError(
    `This ${whose} has several chat templates, and none is named 'default'. Name one as chat_template: ${names}.`,
    { where: "chat_template", expected: names },
  );
}

function isNamed(templates: ChatTemplates | null): templates is Readonly<Record<string, string>> {
  return typeof templates === "object" && templates !== null;
}

/** Sorts conversations: one alone, or several in a list. Keys without a value are left out. */
export function batchOf(conversation: unknown): { conversations: TemplateMessage[][]; batched: boolean } {
  if (!Array.isArray(conversation) || conversation.length === 0) {
    throw new OptionError("The conversation is empty. Give at least one message: { role, content }.", {
      where: "conversation",
      got: conversation,
    });
  }
  const batched = Array.isArray(conversation[0]);
  const conversations = (batched ? conversation : [conversation]) as unknown[];
  return { conversations: conversations.map(messagesOf), batched };
}

function messagesOf(conversation: unknown): TemplateMessage[] {
  if (!Array.isArray(conversation)) throw notMessage(conversation);
  return conversation.map((message: unknown) => {
    if (typeof message !== "object" || message === null || Array.isArray(message)) throw notMessage(message);
    return Object.fromEntries(
      Object.entries(message).filter(([, value]) => value !== null && value !== undefined),
    );
  });
}

function notMessage(got: unknown): OptionError {
  return new OptionError(
    `A conversation is a list of messages { role, content }, got ${JSON.stringify(got)?.slice(0, 80)}`,
    { where: "conversation", got },
  );
}

/** @throws OptionError where `continue_final_message` meets what it excludes */
export function checkContinue(options: {
  continue_final_message?: boolean | string | null;
  add_generation_prompt?: boolean | null;
  return_assistant_tokens_mask?: boolean | null;
}): void {
  if (!options.continue_final_message) return;
  for (const other of ["add_generation_prompt", "return_assistant_tokens_mask"] as const) {
    if (!options[other]) continue;
    throw new OptionError(`continue_final_message and ${other} exclude each other`, {
      where: "continue_final_message",
    });
  }
}
