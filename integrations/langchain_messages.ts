import type { BaseMessage } from "@langchain/core/messages";
import { OptionError, UnsupportedError } from "../src/index.ts";
import type { ChatPart, ChatTurn, Picture } from "./chat_engine.ts";

const ROLES: Readonly<Record<string, ChatTurn["role"]>> = {
  system: "system",
  human: "user",
  ai: "assistant",
};

/** A part of a message, in any of the forms that LangChain has. */
type Block = Readonly<Record<string, unknown>>;

/** @throws UnsupportedError for roles and parts that the model knows nothing of */
export function turnOf(message: BaseMessage): ChatTurn {
  const role = ROLES[message.type];
  if (role === undefined) {
    throw new UnsupportedError(`llava takes no messages of type ${message.type}`, { where: "messages" });
  }
  const { content } = message;
  if (typeof content === "string") return { role, content: [{ type: "text", text: content }] };
  return { role, content: content.map((block) => partOf(block as Block)) };
}

function partOf(block: Block): ChatPart {
  if (block.type === "text" && typeof block.text === "string") return { type: "text", text: block.text };
  if (block.type === "image_url") return { type: "image", image: openAIPicture(block.image_url) };
  if (block.type === "image") return { type: "image", image: standardPicture(block) };
  throw new UnsupportedError(
    `llava takes no content of type ${String(block.type)}; there are text, image and image_url`,
    {
      where: "content",
      got: block.type,
    },
  );
}

function openAIPicture(image: unknown): Picture {
  const url = typeof image === "object" && image !== null ? (image as Block).url : image;
  return typeof url === "string" ? address(url) : refuse("image_url");
}

/** `{ url }` or `{ data }`, in base64 or bytes; older ones say which of them by `source_type`. */
function standardPicture({ url, data }: Block): Picture {
  if (typeof url === "string") return address(url);
  if (data instanceof Uint8Array) return data;
  return typeof data === "string" ? Uint8Array.from(atob(data), (c) => c.charCodeAt(0)) : refuse("image");
}

/** A message must not make this process read its files. */
function address(url: string): string {
  return /^(https?:|data:)/i.test(url) ? url : refuse("url");
}

function refuse(where: string): never {
  throw new OptionError("A picture is given by an http(s) or data URL, or by data: base64 or bytes", {
    where,
  });
}
