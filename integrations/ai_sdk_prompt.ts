import type { LanguageModelV3FilePart, LanguageModelV3Prompt, SharedV3Warning } from "@ai-sdk/provider";
import { UnsupportedError } from "../src/index.ts";
import type { ChatPart, ChatTurn, Picture } from "./chat_engine.ts";

type Message = LanguageModelV3Prompt[number];
type Part = Exclude<Message["content"], string>[number];

/**
 * The AI SDK's messages as turns.
 *
 * @throws UnsupportedError for files that are no pictures, and for the results of tools
 */
export function conversationOf(prompt: LanguageModelV3Prompt): {
  conversation: ChatTurn[];
  warnings: SharedV3Warning[];
} {
  const warnings: SharedV3Warning[] = [];
  const conversation = prompt.map((message): ChatTurn => {
    if (message.role === "system")
      return { role: "system", content: [{ type: "text", text: message.content }] };
    if (message.role === "tool") throw new UnsupportedError("llava has no tools", { where: "tool" });
    const parts: Part[] = message.content;
    return { role: message.role, content: parts.flatMap((part) => partOf(part, warnings)) };
  });
  return { conversation, warnings };
}

function partOf(part: Part, warnings: SharedV3Warning[]): ChatPart[] {
  if (part.type === "text") return [{ type: "text", text: part.text }];
  if (part.type === "file") return [{ type: "image", image: pictureOf(part) }];
  if (part.type !== "reasoning") throw new UnsupportedError("llava has no tools", { where: part.type });
  warnings.push({ type: "unsupported", feature: "reasoning", details: "The model is not shown it." });
  return [];
}

function pictureOf({ data, mediaType }: LanguageModelV3FilePart): Picture {
  if (!/^image(\/|$)/.test(mediaType)) {
    throw new UnsupportedError(`A file of type ${mediaType} was given; llava looks at pictures only`, {
      where: "mediaType",
      expected: "image/*",
      got: mediaType,
    });
  }
  if (data instanceof URL) return data.href;
  return typeof data === "string" ? Uint8Array.from(atob(data), (c) => c.charCodeAt(0)) : data;
}
