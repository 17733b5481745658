import { OptionError } from "../base/errors.ts";

/** Characters `[start, end)` of the text that a token stands for, counted in code points; `[0, 0]` for none. */
export type Offset = [start: number, end: number];

/** One encoded text (or pair of texts), with all that is known of each token. */
export class Encoding {
  readonly ids: number[] = [];
  readonly tokens: string[] = [];
  readonly type_ids: number[] = [];
  readonly attention_mask: number[] = [];
  /** 1 for tokens that were added around the text, and for padding. */
  readonly special_tokens_mask: number[] = [];
  readonly offsets: Offset[] = [];
  /** Which word of its text a token belongs to; null for added and padding tokens. */
  readonly word_ids: (number | null)[] = [];
  /** Which of the two texts a token belongs to; null for added and padding tokens. */
  readonly sequence_ids: (number | null)[] = [];
  /** The rest, where the text was cut. */
  overflowing: Encoding[] = [];

  get length(): number {
    return this.ids.length;
  }

  /** Adds one token at the end. */
  push(token: EncodedToken): void {
    this.ids.push(token.id);
    this.tokens.push(token.token);
    this.type_ids.push(token.type_id ?? 0);
    this.attention_mask.push(token.attention ?? 1);
    this.special_tokens_mask.push(token.special ?? 0);
    this.offsets.push(token.offset ?? [0, 0]);
    this.word_ids.push(token.word ?? null);
    this.sequence_ids.push(token.sequence ?? null);
  }

  at(i: number): EncodedToken {
    return {
      id: this.ids[i],
      token: this.tokens[i],
      type_id: this.type_ids[i],
      attention: this.attention_mask[i],
      special: this.special_tokens_mask[i],
      offset: this.offsets[i],
      word: this.word_ids[i],
      sequence: this.sequence_ids[i],
    };
  }

  slice(from: number, to: number): Encoding {
    const part = new Encoding();
    for (let i = from; i < to; i++) part.push(this.at(i));
    return part;
  }
}

/** What an Encoding knows of one token. */
export interface EncodedToken {
  id: number;
  token: string;
  type_id?: number;
  attention?: number;
  special?: number;
  offset?: Offset;
  word?: number | null;
  sequence?: number | null;
}

export type Side = "left" | "right";

/**
 * Cuts an encoding to `maxLength` tokens. What is left over goes into `overflowing`, in parts of the same length
 * that repeat `stride` tokens of the part before.
 */
export function truncate(encoding: Encoding, maxLength: number, stride: number, side: Side): Encoding {
  const length = encoding.length;
  if (maxLength >= length) return encoding;
  if (maxLength === 0) {
    const empty = new Encoding();
    empty.overflowing = [encoding];
    return empty;
  }
  if (stride >= maxLength) {
    throw new OptionError(
      `'stride' (${stride}) must be less than what is left of 'max_length' beside the special tokens (${maxLength})`,
      { where: "stride", got: stride },
    );
  }
  const parts: Encoding[] = [];
  const step = maxLength - stride;
  for (let done = 0; done < length; done += step) {
    const from = side === "right" ? done : Math.max(0, length - done - maxLength);
    const to = side === "right" ? Math.min(length, done + maxLength) : length - done;
    parts.push(encoding.slice(from, to));
    if (side === "right" ? to === length : from === 0) break;
  }
  const [first, ...rest] = parts;
  first.overflowing = rest;
  return first;
}

/** Padding of a whole batch: `length` is fixed, or null for that of the longest row. */
export interface Padding {
  length: number | null;
  side: Side;
  pad_to_multiple_of: number | null;
  id: number;
  token: string;
  type_id: number;
}

/** Pads rows to one length; rows that are longer stay as they are. */
export function pad(encodings: readonly Encoding[], padding: Padding): Encoding[] {
  let length = padding.length ?? Math.max(0, ...encodings.map((encoding) => encoding.length));
  const multiple = padding.pad_to_multiple_of ?? 0;
  if (multiple > 0 && length % multiple > 0) length += multiple - (length % multiple);
  const padOne = (encoding: Encoding): Encoding => {
    const missing = length - encoding.length;
    const padded = missing > 0 ? padRow(encoding, missing, padding) : encoding;
    padded.overflowing = encoding.overflowing.map(padOne);
    return padded;
  };
  return encodings.map(padOne);
}

function padRow(encoding: Encoding, missing: number, padding: Padding): Encoding {
  const padded = new Encoding();
  const fill = (): void => {
    for (let i = 0; i < missing; i++) {
      padded.push({
        id: padding.id,
        token: padding.token,
        type_id: padding.type_id,
        attention: 0,
        special: 1,
      });
    }
  };
  if (padding.side === "left") fill();
  for (let i = 0; i < encoding.length; i++) padded.push(encoding.at(i));
  if (padding.side === "right") fill();
  return padded;
}
