import { isRecord } from "../models/config_fields.ts";
import { CHAR_TO_BYTE } from "../text/byte_alphabet.ts";

/** What looking for stop strings needs of a tokenizer. */
export interface StoppingTokenizer {
  get_vocab(): Readonly<Record<string, number>> | ReadonlyMap<string, number>;
  encode(text: string, options: { add_special_tokens: boolean }): number[];
  convert_tokens_to_string(tokens: string[]): string;
  /** Gives tokenizer.json, whose decoder says whether tokens are bytes. */
  readonly backend_tokenizer?: { toJSON(): Readonly<Record<string, unknown>> };
}

/** What is compared: bytes, where tokens may be parts of characters; else characters. */
export type MatchingMode = "byte_level" | "byte_fallback" | null;

/** What the decoder of tokenizer.json makes of tokens. */
export function matchingMode(decoder: unknown): MatchingMode {
  if (hasType(decoder, "ByteFallback")) return "byte_fallback";
  return hasType(decoder, "ByteLevel") ? "byte_level" : null;
}

function hasType(decoder: unknown, type: string): boolean {
  if (Array.isArray(decoder)) return decoder.some((part) => hasType(part, type));
  if (!isRecord(decoder)) return false;
  return decoder.type === type || Object.values(decoder).some((part) => hasType(part, type));
}

/** The bytes that a token stands for by itself, where it does. */
export function tokenBytes(token: string, mode: MatchingMode): number[] | undefined {
  if (mode === "byte_fallback") {
    const hex = /^<0x([0-9a-fA-F]{2})>$/.exec(token);
    return hex ? [Number.parseInt(hex[1], 16)] : undefined;
  }
  if (mode !== "byte_level") return undefined;
  const bytes = Array.from(token, (character) => CHAR_TO_BYTE.get(character));
  return bytes.every((byte) => byte !== undefined) ? (bytes as number[]) : undefined;
}
