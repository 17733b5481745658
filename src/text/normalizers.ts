import { AlignedBuilder, type AlignedText } from "./aligned_text.ts";
import { type Component, componentList, read, unsupported } from "./component.ts";
import { compilePattern } from "./pattern.ts";

/** Rewrites text before it is cut into tokens. */
export type Normalizer = (text: AlignedText) => AlignedText;

const BUILDERS: Readonly<Record<string, (config: Component) => Normalizer>> = {
  Sequence: (config) => {
    const steps = componentList(config, "normalizers").map(buildNormalizer);
    return (text) => steps.reduce((current, step) => step(current), text);
  },
  Prepend: (config) => {
    const prefix = read.string(config, "prepend");
    return (text) => text.prepend(prefix);
  },
  Replace: (config) => {
    const pattern = compilePattern(read.pattern(config, "pattern"));
    const content = read.string(config, "content");
    return (text) => text.replace(pattern, content);
  },
  Lowercase: () => (text) => text.mapChars((char) => char.toLowerCase()),
  NFC: () => (text) => unicodeForm(text, "NFC"),
  NFD: () => (text) => unicodeForm(text, "NFD"),
  NFKC: () => (text) => unicodeForm(text, "NFKC"),
  NFKD: () => (text) => unicodeForm(text, "NFKD"),
  StripAccents: () => (text) => text.mapChars((char) => (/^\p{Mn}$/u.test(char) ? "" : char)),
  Strip: (config) => {
    const left = read.boolean(config, "strip_left", true);
    const right = read.boolean(config, "strip_right", true);
    return (text) => strip(text, left, right);
  },
};

/** @throws UnsupportedError for a type that this library does not know */
export function buildNormalizer(config: Component): Normalizer {
  const build = BUILDERS[config.type];
  if (build === undefined) throw unsupported("normalizer", config.type, Object.keys(BUILDERS));
  return build(config);
}

function strip(text: AlignedText, left: boolean, right: boolean): AlignedText {
  const from = left ? (/^\p{White_Space}*/u.exec(text.text)?.[0].length ?? 0) : 0;
  const to = right ? text.length - (/\p{White_Space}*$/u.exec(text.text)?.[0].length ?? 0) : text.length;
  return text.slice(Math.min(from, to), to);
}

// A base character with what may combine with it: marks, and the jamo of one Hangul syllable.
const CLUSTER =
  /[\u1100-\u115f][\u1160-\u11a7]?[\u11a8-\u11ff]?\p{M}*|[\uac00-\ud7a3][\u11a8-\u11ff]?\p{M}*|.\p{M}*/gsu;

function unicodeForm(text: AlignedText, form: "NFC" | "NFD" | "NFKC" | "NFKD"): AlignedText {
  if (text.text.normalize(form) === text.text) return text;
  const builder = new AlignedBuilder();
  for (const { 0: cluster, index } of text.text.matchAll(CLUSTER)) {
    const normalized = cluster.normalize(form);
    if (normalized === cluster) builder.append(text, index, index + cluster.length);
    else addCluster(builder, text, index, Array.from(cluster), Array.from(normalized));
  }
  return builder.build();
}

/**
 * Adds the normalised characters of a cluster: the first stands for the first, the others for what came last, so
 * that what was composed away is what followed the first.
 */
function addCluster(
  builder: AlignedBuilder,
  text: AlignedText,
  index: number,
  cluster: readonly string[],
  normalized: readonly string[],
): void {
  const places: number[] = [];
  for (const char of cluster) places.push((places.at(-1) ?? 0) + char.length);
  normalized.forEach((char, k) => {
    const from = k === 0 ? 0 : Math.max(0, k + cluster.length - normalized.length);
    const at = index + (from === 0 ? 0 : places[from - 1]);
    builder.add(char, text.starts[at], text.ends[at]);
  });
}
