import { UnsupportedError } from "../../base/errors.ts";
import { encodeMarked } from "../../text/control_tokens.ts";
import type { TextTokenizer } from "../../text/text_tokenizer.ts";
import type { BatchSettings } from "./encode_batch.ts";

/**
 * Ids of chats that `apply_chat_template` marked, cut where that is asked for: what a user wrote never becomes a
 * control token.
 *
 * @throws UnsupportedError where the tokenizer would add special tokens
 * @throws OptionError where it makes a control token of ordinary text
 */
export function encodeMarkedRows(
  tokenizer: TextTokenizer,
  chats: readonly string[],
  { options, strategies: { truncation, max_length }, truncationSide }: BatchSettings,
): number[][] {
  if ((options.add_special_tokens ?? true) && (tokenizer.postProcessor?.added(false) ?? 0) > 0) {
    throw new UnsupportedError(
      "sanitize_control_tokens: the chat template must write the special tokens itself, as this tokenizer adds some. Give add_special_tokens: false.",
      { where: "sanitize_control_tokens" },
    );
  }
  const cut = (ids: number[]): number[] => {
    if (truncation === "do_not_truncate" || max_length === null || ids.length <= max_length) return ids;
    return truncationSide === "right" ? ids.slice(0, max_length) : ids.slice(ids.length - max_length);
  };
  return chats.map((chat) => cut(encodeMarked(tokenizer, chat)));
}
