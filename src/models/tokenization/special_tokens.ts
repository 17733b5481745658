import { OptionError } from "../../base/errors.ts";
import { type AddedToken, addedToken } from "../../text/added_tokens.ts";

/** The special tokens that every tokenizer may have, in Transformers' order. */
export const SPECIAL_TOKENS_ATTRIBUTES = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
] as const;

/** A special token as it is given: its text, or with flags. */
export type TokenLike = string | (Partial<AddedToken> & { content: string });

/** The special tokens of a tokenizer: the usual ones by name, those of the model by name, and further ones. */
export class SpecialTokens {
  private readonly named = new Map<string, TokenLike>();
  private readonly names: string[] = [...SPECIAL_TOKENS_ATTRIBUTES];
  extra: TokenLike[] = [];

  /** Takes a name that is none of the usual ones, such as `image_token`. */
  declare(name: string): void {
    if (!this.names.includes(name)) this.names.push(name);
  }

  /** All names that there are, whether or not a token stands behind them. */
  get attributes(): readonly string[] {
    return this.names;
  }

  /** @throws OptionError where it is no token */
  set(name: string, token: TokenLike | null | undefined): void {
    if (token === null || token === undefined) this.named.delete(name);
    else this.named.set(name, checkToken(name, token));
  }

  get(name: string): string | null {
    const token = this.named.get(name);
    return token === undefined ? null : textOf(token);
  }

  /** The named tokens that are set, as text. */
  map(): Record<string, string> {
    const entries = this.names.flatMap((name): [string, string][] => {
      const text = this.get(name);
      return text === null ? [] : [[name, text]];
    });
    return Object.fromEntries(entries);
  }

  /** All tokens as text, each once. */
  all(): string[] {
    return [...new Set([...Object.values(this.map()), ...this.extra.map(textOf)])];
  }

  /** All tokens with their flags, as a tokenizer's added tokens. */
  asAddedTokens(): AddedToken[] {
    const named = this.names.flatMap((name) => this.named.get(name) ?? []);
    return [...named.map((token) => ({ ...withFlags(token), special: true })), ...this.extra.map(withFlags)];
  }
}

/** The text of a token. */
export function textOf(token: TokenLike): string {
  return typeof token === "string" ? token : token.content;
}

/** A plain text becomes a special token; one with flags keeps them. */
export function withFlags(token: TokenLike): AddedToken {
  return addedToken(typeof token === "string" ? { content: token, special: true } : token);
}

/** @throws OptionError where it is no token */
export function checkToken(name: string, token: unknown): TokenLike {
  if (typeof token === "string") return token;
  if (
    typeof token === "object" &&
    token !== null &&
    "content" in token &&
    typeof token.content === "string"
  ) {
    return token as TokenLike;
  }
  throw new OptionError(
    `${name}: expected a token's text, or { content, ... }, got ${JSON.stringify(token)}`,
    {
      where: name,
      got: token,
    },
  );
}
