import { CHAR_TO_BYTE } from "./byte_alphabet.ts";
import { type Component, componentList, read, unsupported } from "./component.ts";
import { compilePattern } from "./pattern.ts";

/** Turns tokens into parts of text; joined, they are the text. */
export type Decoder = (tokens: string[]) => string[];

const BUILDERS: Readonly<Record<string, (config: Component) => Decoder>> = {
  Sequence: (config) => {
    const steps = componentList(config, "decoders").map(buildDecoder);
    return (tokens) => steps.reduce((current, step) => step(current), tokens);
  },
  Replace: (config) => {
    const pattern = compilePattern(read.pattern(config, "pattern"));
    const content = read.string(config, "content");
    return (tokens) => tokens.map((token) => token.replace(pattern, () => content));
  },
  ByteFallback: () => byteFallback,
  Fuse: () => (tokens) => [tokens.join("")],
  Strip: (config) => {
    const content = read.string(config, "content");
    const [start, stop] = [read.count(config, "start", 0), read.count(config, "stop", 0)];
    return (tokens) => tokens.map((token) => strip(token, content, start, stop));
  },
  ByteLevel: () => byteLevel,
  Metaspace: (config) => {
    const mark = read.string(config, "replacement", "\u2581");
    const dropFirst = read.string(config, "prepend_scheme", "always") !== "never";
    return (tokens) => tokens.map((token, i) => token.replaceAll(mark, i === 0 && dropFirst ? "" : " "));
  },
  BPEDecoder: (config) => {
    const suffix = read.string(config, "suffix", "</w>");
    return (tokens) => tokens.map((token, i) => token.replaceAll(suffix, i === tokens.length - 1 ? "" : " "));
  },
};

/** @throws UnsupportedError for a type that this library does not know */
export function buildDecoder(config: Component): Decoder {
  const build = BUILDERS[config.type];
  if (build === undefined) throw unsupported("decoder", config.type, Object.keys(BUILDERS));
  return build(config);
}

// `ignoreBOM` keeps a byte order mark as a character, as Rust does.
const lossy = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** Runs of `<0xNN>` become the text that they spell; one that spells none, U+FFFD for each of its bytes. */
function byteFallback(tokens: string[]): string[] {
  const parts: string[] = [];
  let run: number[] = [];
  const flush = (): void => {
    if (run.length > 0) parts.push(spell(run));
    run = [];
  };
  for (const token of tokens) {
    if (token.length === 6 && /^<0x[0-9A-Fa-f]{2}>$/.test(token)) {
      run.push(Number.parseInt(token.slice(3, 5), 16));
    } else {
      flush();
      parts.push(token);
    }
  }
  flush();
  return parts;
}

function spell(bytes: number[]): string {
  try {
    return strict.decode(Uint8Array.from(bytes));
  } catch {
    return "\ufffd".repeat(bytes.length);
  }
}

const utf8 = new TextEncoder();

/** Characters of the byte alphabet become bytes; a token with any other character stands for itself. */
function byteLevel(tokens: string[]): string[] {
  const bytes: number[] = [];
  for (const token of tokens) {
    const mapped = Array.from(token, (char) => CHAR_TO_BYTE.get(char));
    if (mapped.every((byte) => byte !== undefined)) bytes.push(...mapped);
    else bytes.push(...utf8.encode(token));
  }
  return [lossy.decode(Uint8Array.from(bytes))];
}

/** @param content one character */
function strip(token: string, content: string, start: number, stop: number): string {
  let from = 0;
  for (let i = 0; i < start && token.startsWith(content, from); i++) from += content.length;
  let to = token.length;
  for (let i = 0; i < stop && token.endsWith(content, to); i++) to -= content.length;
  return token.slice(from, Math.max(from, to));
}
