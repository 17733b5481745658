import type { AlignedText } from "./aligned_text.ts";
import { BYTE_TO_CHAR } from "./byte_alphabet.ts";
import { broken, type Component, componentList, read, unsupported } from "./component.ts";
import { compilePattern } from "./pattern.ts";

/** Cuts normalised text into the words within which the model merges. */
export type PreTokenizer = (text: AlignedText) => AlignedText[];

/** A part of a text, and whether the pattern matched it. */
interface Part {
  from: number;
  to: number;
  matched: boolean;
}

/** What becomes of the parts that the pattern matched. */
type Behavior = (parts: Part[]) => { from: number; to: number }[];

const BEHAVIORS: Readonly<Record<string, Behavior>> = {
  Removed: (parts) => parts.filter((part) => !part.matched),
  Isolated: (parts) => parts,
  Contiguous: (parts) => {
    const merged: Part[] = [];
    for (const part of parts) {
      const last = merged.at(-1);
      if (last !== undefined && last.matched === part.matched) last.to = part.to;
      else merged.push({ ...part });
    }
    return merged;
  },
  MergedWithPrevious: (parts) => {
    const merged: Part[] = [];
    parts.forEach((part, i) => {
      const last = merged.at(-1);
      if (last !== undefined && part.matched && !parts[i - 1]?.matched) last.to = part.to;
      else merged.push({ ...part });
    });
    return merged;
  },
  MergedWithNext: (parts) => {
    const merged: Part[] = [];
    for (let i = parts.length - 1; i >= 0; i--) {
      const next = merged[0];
      if (next !== undefined && parts[i].matched && !parts[i + 1]?.matched) next.from = parts[i].from;
      else merged.unshift({ ...parts[i] });
    }
    return merged;
  },
};

// GPT-2's words.
const BYTE_LEVEL_WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

const BUILDERS: Readonly<Record<string, (config: Component) => PreTokenizer>> = {
  Sequence: (config) => {
    const steps = componentList(config, "pretokenizers").map(buildPreTokenizer);
    return (text) => steps.reduce((pieces, step) => pieces.flatMap(step), [text]);
  },
  Split: (config) => {
    const name = read.string(config, "behavior");
    const behavior = BEHAVIORS[name];
    if (behavior === undefined) {
      throw broken("Split.behavior", `one of ${Object.keys(BEHAVIORS).join(", ")}`, name);
    }
    const pattern = compilePattern(read.pattern(config, "pattern"));
    return splitter(pattern, behavior, read.boolean(config, "invert", false));
  },
  ByteLevel: (config) => {
    const prefix = read.boolean(config, "add_prefix_space", true);
    const words = splitter(compilePattern({ Regex: BYTE_LEVEL_WORDS }), BEHAVIORS.Isolated);
    const useWords = read.boolean(config, "use_regex", true);
    return (text) => {
      const prefixed = prefix && !text.text.startsWith(" ") ? text.prepend(" ") : text;
      return (useWords ? words(prefixed) : [prefixed]).map((word) => word.mapChars(bytesAsChars));
    };
  },
  Metaspace: (config) => {
    const mark = read.string(config, "replacement", "\u2581");
    const scheme = read.string(config, "prepend_scheme", "always");
    const words = splitter(compilePattern({ String: mark }), BEHAVIORS.MergedWithNext);
    const split = read.boolean(config, "split", true);
    return (text) => {
      const first = scheme === "always" || (scheme === "first" && text.starts[0] === 0);
      const marked = text.replace(/ /g, mark);
      const prefixed = first && !marked.text.startsWith(mark) ? marked.prepend(mark) : marked;
      return split ? words(prefixed) : [prefixed];
    };
  },
  Digits: (config) => {
    const each = read.boolean(config, "individual_digits", false);
    return splitter(/\p{N}/gu, each ? BEHAVIORS.Isolated : BEHAVIORS.Contiguous);
  },
  Punctuation: (config) => {
    const name = read.string(config, "behavior", "Isolated");
    return splitter(/[!-/:-@[-`{-~]|\p{P}/gu, BEHAVIORS[name] ?? BEHAVIORS.Isolated);
  },
  Whitespace: () => splitter(compilePattern({ Regex: "\\w+|[^\\w\\s]+" }), BEHAVIORS.Removed, true),
  WhitespaceSplit: () => splitter(/\p{White_Space}/gu, BEHAVIORS.Removed),
};

/** @throws UnsupportedError for a type that this library does not know */
export function buildPreTokenizer(config: Component): PreTokenizer {
  const build = BUILDERS[config.type];
  if (build === undefined) throw unsupported("pre_tokenizer", config.type, Object.keys(BUILDERS));
  return build(config);
}

function splitter(pattern: RegExp, behavior: Behavior, invert = false): PreTokenizer {
  return (text) =>
    behavior(partsOf(text.text, pattern, invert))
      .filter(({ from, to }) => from < to)
      .map(({ from, to }) => text.slice(from, to));
}

function partsOf(text: string, pattern: RegExp, invert: boolean): Part[] {
  const parts: Part[] = [];
  let last = 0;
  for (const match of text.matchAll(pattern)) {
    const to = match.index + match[0].length;
    if (to === match.index) continue;
    if (last < match.index) parts.push({ from: last, to: match.index, matched: invert });
    parts.push({ from: match.index, to, matched: !invert });
    last = to;
  }
  if (last < text.length) parts.push({ from: last, to: text.length, matched: invert });
  return parts;
}

const utf8 = new TextEncoder();

function bytesAsChars(char: string): string {
  let chars = "";
  for (const byte of utf8.encode(char)) chars += BYTE_TO_CHAR[byte];
  return chars;
}
