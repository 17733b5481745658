import { OptionError } from "../base/errors.ts";
import type { ImageSource } from "../image/load_image.ts";
import { looksLikeRawImage } from "../image/raw_image.ts";
import type { ChatMessage, Conversation } from "../models/tokenization/chat.ts";
import { Tensor } from "../tensor/tensor.ts";

/** Pictures of a pipeline: one, one for each text, or a list for each text. */
export type PipelineImages = ImageSource | readonly ImageSource[] | readonly (readonly ImageSource[])[];

/** What a pipeline works on at once: a conversation, or texts with their pictures. */
export type PipelineItem =
  | { kind: "chat"; messages: Conversation }
  | { kind: "text"; text: string | readonly string[]; images?: PipelineImages };

/** What a call is about: one item, or several that are answered one by one. */
export interface PipelineInput {
  items: PipelineItem[];
  /** Several: the results are lists in a list. */
  several: boolean;
}

/**
 * Sorts what a pipeline was called with, as Transformers does: chats are lists of messages.
 *
 * @param named whether `images` was called so; strings that came first and alone are prompts
 * @throws OptionError where it is nothing that can be answered
 */
export function pipelineInput(images: unknown, text: unknown, named: boolean): PipelineInput {
  const noImages = images === undefined || images === null;
  const noText = text === undefined || text === null;
  if (noImages && noText) {
    throw new OptionError("pipeline: give text, a conversation, or images with text", { where: "text" });
  }
  if (isChat(text)) {
    if (noImages) return chats(text);
    throw new OptionError(
      'pipeline: a conversation holds its pictures itself, { type: "image", url: ... } in a message\'s content; leave out images',
      { where: "images" },
    );
  }
  if (noText && isChat(images)) return chats(images);
  if (noText && !named && isText(images)) return texts(images);
  if (noText) throw new OptionError("pipeline: give the text that goes with the images", { where: "text" });
  if (!isText(text)) {
    throw new OptionError("pipeline: text: expected a string, a list of strings, or a conversation", {
      where: "text",
      got: text,
    });
  }
  if (noImages) return texts(text);
  return { items: [{ kind: "text", text, images: images as PipelineImages }], several: false };
}

/** Prompts without pictures. */
function texts(text: string | readonly string[]): PipelineInput {
  if (typeof text === "string") return { items: [{ kind: "text", text }], several: false };
  return { items: text.map((item) => ({ kind: "text", text: item })), several: true };
}

function chats(given: readonly unknown[]): PipelineInput {
  const several = Array.isArray(given[0]);
  const conversations = several ? given : [given];
  return { items: conversations.map((messages) => ({ kind: "chat", messages: chat(messages) })), several };
}

function chat(messages: unknown): Conversation {
  const wrong = !Array.isArray(messages) || messages.length === 0 || !messages.every(isMessage);
  if (!wrong) return messages;
  throw new OptionError("pipeline: each message of a conversation is an object with role and content", {
    where: "text",
    expected: "{ role, content }",
  });
}

function isMessage(message: unknown): message is ChatMessage {
  return typeof message === "object" && message !== null && "role" in message && "content" in message;
}

function isChat(value: unknown): value is readonly unknown[] {
  if (!Array.isArray(value)) return false;
  const first: unknown = value[0];
  return Array.isArray(first) || isPlainObject(first);
}

/** An object, and no picture. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const picture = value instanceof Tensor || looksLikeRawImage(value);
  return !picture && Object.getPrototypeOf(value) === Object.prototype;
}

function isText(value: unknown): value is string | readonly string[] {
  return (
    typeof value === "string" ||
    (Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === "string"))
  );
}
