import { OptionError } from "../../base/errors.ts";
import type { TokenizersBackend } from "../tokenization_utils_tokenizers.ts";

/** A whole number from `least`, or null. @throws OptionError where it is neither */
export function countSetting(name: string, value: unknown, least: number): number | null {
  if (value === null) return null;
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number;
  throw new OptionError(`${name}: expected a whole number from ${least}, got ${JSON.stringify(value)}`, {
    where: name,
    expected: `a whole number from ${least}`,
    got: value,
  });
}

/** The text of a token. @throws OptionError where it is none */
export function tokenSetting(name: string, value: unknown): string {
  if (typeof value === "string" && value !== "") return value;
  throw new OptionError(`${name}: expected the text of a token, got ${JSON.stringify(value)}`, {
    where: name,
    expected: "the text of a token",
    got: value,
  });
}

/** The id of a token. @throws OptionError where the tokenizer makes no token of it */
export function tokenIdOf(tokenizer: TokenizersBackend, token: string): number {
  const [id] = tokenizer.encode(token, { add_special_tokens: false });
  if (id !== undefined) return id;
  throw new OptionError(`image_token: the tokenizer has no token '${token}'`, {
    where: "image_token",
    got: token,
  });
}
