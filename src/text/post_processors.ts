import { BYTE_TO_CHAR } from "./byte_alphabet.ts";
import { broken, type Component, componentList, isRecord, read, unsupported } from "./component.ts";
import { Encoding } from "./encoding.ts";

/** Puts the special tokens around one or two encoded texts. */
export interface PostProcessor {
  /** How many tokens it adds. */
  added(pair: boolean): number;
  process(first: Encoding, second: Encoding | null, addSpecialTokens: boolean): Encoding;
}

/** An item of a template: a special token, or one of the two texts. */
type Item =
  | { ids: readonly number[]; tokens: readonly string[]; type_id: number }
  | { sequence: 0 | 1; type_id: number };

const TYPES = ["TemplateProcessing", "ByteLevel", "Sequence"];

/** @throws UnsupportedError for a type that this library does not know */
export function buildPostProcessor(config: Component): PostProcessor {
  if (config.type === "TemplateProcessing") {
    const specials = readSpecials(config);
    return template(readTemplate(config, "single", specials), readTemplate(config, "pair", specials));
  }
  if (config.type === "ByteLevel") return byteLevel(config);
  if (config.type === "Sequence") {
    const parts = componentList(config, "processors").map(buildPostProcessor);
    return sequence(parts);
  }
  throw unsupported("post_processor", config.type, TYPES);
}

/** The component that puts `bos` before and `eos` after each text, each where it is given. */
export function bosEosTemplate(bos: SpecialToken | null, eos: SpecialToken | null): Component {
  const around = (id: "A" | "B", type_id: 0 | 1): unknown[] => {
    const special = (token: SpecialToken | null): unknown[] =>
      token === null ? [] : [{ SpecialToken: { id: token.token, type_id } }];
    return [...special(bos), { Sequence: { id, type_id } }, ...special(eos)];
  };
  const specials = [bos, eos].filter((token) => token !== null);
  return {
    type: "TemplateProcessing",
    single: around("A", 0),
    pair: [...around("A", 0), ...around("B", 1)],
    special_tokens: Object.fromEntries(
      specials.map(({ id, token }) => [token, { id: token, ids: [id], tokens: [token] }]),
    ),
  };
}

/** A special token and its id. */
export interface SpecialToken {
  id: number;
  token: string;
}

function template(single: readonly Item[], pair: readonly Item[]): PostProcessor {
  const count = (items: readonly Item[]): number =>
    items.reduce((sum, item) => sum + ("ids" in item ? item.ids.length : 0), 0);
  const apply = (first: Encoding, second: Encoding | null, addSpecialTokens: boolean): Encoding => {
    const result = new Encoding();
    for (const item of second === null ? single : pair) {
      if ("ids" in item) {
        if (addSpecialTokens) addSpecials(result, item);
      } else {
        addSequence(result, item.sequence === 0 ? first : second, item);
      }
    }
    result.overflowing = first.overflowing.map((rest) => apply(rest, second, addSpecialTokens));
    return result;
  };
  return { added: (isPair) => count(isPair ? pair : single), process: apply };
}

function addSpecials(result: Encoding, item: Extract<Item, { ids: readonly number[] }>): void {
  item.ids.forEach((id, i) => {
    result.push({ id, token: item.tokens[i], type_id: item.type_id, special: 1 });
  });
}

function addSequence(
  result: Encoding,
  text: Encoding | null,
  item: Extract<Item, { sequence: 0 | 1 }>,
): void {
  for (let i = 0; i < (text?.length ?? 0); i++) {
    result.push({ ...(text as Encoding).at(i), type_id: item.type_id, sequence: item.sequence });
  }
}

/** Leaves the tokens alone, and takes white space off the offsets. */
function byteLevel(config: Component): PostProcessor {
  const trim = read.boolean(config, "trim_offsets", true);
  const prefix = read.boolean(config, "add_prefix_space", true);
  const trimAll = (encoding: Encoding): void => {
    if (trim) for (let i = 0; i < encoding.length; i++) trimOffset(encoding, i, prefix);
    encoding.overflowing.forEach(trimAll);
  };
  return {
    added: () => 0,
    process(first, second) {
      trimAll(first);
      if (second === null) return first;
      trimAll(second);
      return joined(first, second);
    },
  };
}

const BLANK = `[${BYTE_TO_CHAR[0x20]}\\p{White_Space}]*`;
const LEADING = new RegExp(`^${BLANK}`, "u");
const TRAILING = new RegExp(`${BLANK}$`, "u");

function trimOffset(encoding: Encoding, i: number, addPrefixSpace: boolean): void {
  const token = encoding.tokens[i];
  let leading = LEADING.exec(token)?.[0].length ?? 0;
  const trailing = TRAILING.exec(token)?.[0].length ?? 0;
  let [start, end] = encoding.offsets[i];
  if (leading > 0) {
    // One space alone is the one that was put before the text: it is not part of it.
    if (addPrefixSpace && leading === 1 && (i === 0 || start === 0)) leading = 0;
    start = Math.min(start + leading, end);
  }
  if (trailing > 0 && end >= trailing) end = Math.max(end - trailing, start);
  encoding.offsets[i] = [start, end];
}

function sequence(parts: readonly PostProcessor[]): PostProcessor {
  return {
    added: (isPair) => parts.reduce((sum, part) => sum + part.added(isPair), 0),
    process(first, second, addSpecialTokens) {
      // Each part but the last template leaves two texts apart.
      const templates = parts.filter((part) => part.added(false) > 0 || part.added(true) > 0);
      const others = parts.filter((part) => !templates.includes(part));
      for (const part of others) {
        part.process(first, null, addSpecialTokens);
        if (second !== null) part.process(second, null, addSpecialTokens);
      }
      if (templates.length === 0) return second === null ? first : joined(first, second);
      return templates[0].process(first, second, addSpecialTokens);
    },
  };
}

/** Two texts one after the other, without anything between. */
export function joined(first: Encoding, second: Encoding): Encoding {
  const result = new Encoding();
  for (let i = 0; i < first.length; i++) result.push(first.at(i));
  for (let i = 0; i < second.length; i++) result.push({ ...second.at(i), type_id: 1, sequence: 1 });
  result.overflowing = first.overflowing;
  return result;
}

function readSpecials(config: Component): Map<string, { ids: number[]; tokens: string[] }> {
  const specials = new Map<string, { ids: number[]; tokens: string[] }>();
  const table = config.special_tokens ?? {};
  if (!isRecord(table)) throw broken("TemplateProcessing.special_tokens", "an object", table);
  for (const [name, entry] of Object.entries(table)) {
    const ok =
      isRecord(entry) &&
      Array.isArray(entry.ids) &&
      entry.ids.every((id) => Number.isInteger(id) && (id as number) >= 0) &&
      Array.isArray(entry.tokens) &&
      entry.tokens.every((token) => typeof token === "string") &&
      entry.ids.length === entry.tokens.length;
    if (!ok) throw broken(`TemplateProcessing.special_tokens['${name}']`, "ids and tokens", entry);
    specials.set(name, entry as unknown as { ids: number[]; tokens: string[] });
  }
  return specials;
}

function readTemplate(
  config: Component,
  key: "single" | "pair",
  specials: ReadonlyMap<string, { ids: number[]; tokens: string[] }>,
): Item[] {
  const list = config[key];
  const where = `TemplateProcessing.${key}`;
  if (!Array.isArray(list)) throw broken(where, "a list", list);
  return list.map((entry: unknown): Item => {
    const kind = isRecord(entry) ? (entry.SpecialToken ?? entry.Sequence) : undefined;
    if (!isRecord(entry) || !isRecord(kind) || typeof kind.id !== "string") {
      throw broken(where, "SpecialToken or Sequence", entry);
    }
    const type_id = typeof kind.type_id === "number" ? kind.type_id : 0;
    if (entry.Sequence !== undefined) return { sequence: kind.id === "B" ? 1 : 0, type_id };
    const special = specials.get(kind.id);
    if (special === undefined) throw broken(where, "a token of special_tokens", kind.id);
    return { ...special, type_id };
  });
}
