import { AlignedText } from "./aligned_text.ts";
import { broken, isRecord } from "./component.ts";
import type { Normalizer } from "./normalizers.ts";

/** A token that stands outside of the model's vocabulary, found in text before anything else happens. */
export interface AddedToken {
  content: string;
  /** Matches only where no word goes on before or after it. */
  single_word: boolean;
  /** Takes the white space on its left, right. */
  lstrip: boolean;
  rstrip: boolean;
  /** Is looked for in normalised text, not in the text as it came. */
  normalized: boolean;
  special: boolean;
}

/** An added token from what a file or a caller says; what is left out is false, `normalized` is `!special`. */
export function addedToken(given: string | (Partial<AddedToken> & { content: string })): AddedToken {
  const token = typeof given === "string" ? { content: given } : given;
  const special = token.special ?? false;
  return {
    content: token.content,
    single_word: token.single_word ?? false,
    lstrip: token.lstrip ?? false,
    rstrip: token.rstrip ?? false,
    normalized: token.normalized ?? !special,
    special,
  };
}

/** An added token as a JSON file writes it. @throws CheckpointError where it is none */
export function readAddedToken(value: unknown, where: string): AddedToken {
  if (typeof value === "string") return addedToken(value);
  if (!isRecord(value) || typeof value.content !== "string") {
    throw broken(where, "a token with a 'content'", value);
  }
  for (const flag of ["single_word", "lstrip", "rstrip", "normalized", "special"]) {
    if (value[flag] !== undefined && typeof value[flag] !== "boolean") {
      throw broken(`${where}.${flag}`, "true or false", value[flag]);
    }
  }
  return addedToken(value as unknown as AddedToken);
}

// Unicode's word characters, joiners among them.
const WORD = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]";
const WORD_BEFORE = new RegExp(`${WORD}$`, "u");
const WORD_AFTER = new RegExp(`^${WORD}`, "u");

/** A part of a text: plain, or an added token. */
export interface Section {
  text: AlignedText;
  token?: AddedToken & { id: number };
}

interface Node {
  next: Map<string, Node>;
  token?: AddedToken & { id: number };
}

/** Finds added tokens: at each place the longest, from left to right. */
class Matcher {
  private readonly root: Node = { next: new Map() };

  add(content: string, token: AddedToken & { id: number }): void {
    let node = this.root;
    for (let i = 0; i < content.length; i++) {
      const child = node.next.get(content[i]) ?? { next: new Map() };
      node.next.set(content[i], child);
      node = child;
    }
    node.token = token;
  }

  get isEmpty(): boolean {
    return this.root.next.size === 0;
  }

  longestAt(text: string, at: number): { token: AddedToken & { id: number }; to: number } | undefined {
    let found: { token: AddedToken & { id: number }; to: number } | undefined;
    let node: Node | undefined = this.root;
    for (let i = at; i < text.length; ) {
      node = node.next.get(text[i++]);
      if (node === undefined) break;
      if (node.token !== undefined) found = { token: node.token, to: i };
    }
    return found;
  }
}

/** The added tokens of a tokenizer, and the search for them in text. */
export class AddedTokens {
  private readonly byContent = new Map<string, AddedToken & { id: number }>();
  /** Once special, a token stays so, whatever it is added as later. */
  private readonly specials = new Set<string>();
  private raw = new Matcher();
  private normalized = new Matcher();
  private readonly normalizer: Normalizer | null;

  constructor(normalizer: Normalizer | null) {
    this.normalizer = normalizer;
  }

  /** In the order of ids. */
  list(): (AddedToken & { id: number })[] {
    return [...this.byContent.values()].sort((a, b) => a.id - b.id);
  }

  get(content: string): (AddedToken & { id: number }) | undefined {
    return this.byContent.get(content);
  }

  isSpecial(content: string): boolean {
    return this.specials.has(content);
  }

  /** Adds or replaces tokens, then prepares the search. */
  add(tokens: readonly (AddedToken & { id: number })[]): void {
    for (const token of tokens) {
      this.byContent.set(token.content, token);
      if (token.special) this.specials.add(token.content);
    }
    this.raw = new Matcher();
    this.normalized = new Matcher();
    for (const token of this.byContent.values()) {
      (token.normalized ? this.normalized : this.raw).add(this.formOf(token), token);
    }
  }

  /** A token as it is looked for, and as it stands in encoded text: normalised where it is to be. */
  formOf(token: AddedToken): string {
    return token.normalized ? this.normalize(AlignedText.of(token.content)).text : token.content;
  }

  /**
   * Cuts a text into plain sections, normalised, and added tokens. Each plain section is normalised by itself.
   *
   * @param splitSpecial leaves special tokens to the model, as if they were ordinary text
   */
  sections(source: AlignedText, splitSpecial: boolean): Section[] {
    return this.find(source, this.raw, splitSpecial).flatMap((section) => {
      if (section.token !== undefined) return [section];
      return this.find(this.normalize(section.text), this.normalized, splitSpecial);
    });
  }

  private normalize(text: AlignedText): AlignedText {
    return this.normalizer === null ? text : this.normalizer(text);
  }

  private find(text: AlignedText, matcher: Matcher, splitSpecial: boolean): Section[] {
    if (text.length === 0) return [];
    if (matcher.isEmpty) return [{ text }];
    const sections: Section[] = [];
    let last = 0;
    for (let at = 0; at < text.length; ) {
      const match = matcher.longestAt(text.text, at);
      if (match === undefined) {
        at++;
        continue;
      }
      const span = this.span(text.text, match.token, at, match.to, last, splitSpecial);
      at = match.to;
      if (span === undefined) continue;
      if (last < span.from) sections.push({ text: text.slice(last, span.from) });
      sections.push({ text: text.slice(span.from, span.to), token: match.token });
      last = span.to;
      at = Math.max(at, last);
    }
    if (last < text.length) sections.push({ text: text.slice(last, text.length) });
    return sections;
  }

  /** What of the text a match takes, or undefined where the token's flags forbid it. */
  private span(
    text: string,
    token: AddedToken,
    from: number,
    to: number,
    last: number,
    splitSpecial: boolean,
  ): { from: number; to: number } | undefined {
    if (splitSpecial && this.specials.has(token.content)) return undefined;
    if (token.single_word && (WORD_BEFORE.test(text.slice(0, from)) || WORD_AFTER.test(text.slice(to)))) {
      return undefined;
    }
    const left = token.lstrip ? (/\p{White_Space}*$/u.exec(text.slice(last, from))?.[0].length ?? 0) : 0;
    const right = token.rstrip ? (/^\p{White_Space}*/u.exec(text.slice(to))?.[0].length ?? 0) : 0;
    return { from: from - left, to: to + right };
  }
}
