import { OptionError, UnsupportedError } from "../../base/errors.ts";
import { unknownOption } from "../../base/options.ts";
import { TOKENIZER_CALL_OPTIONS, type TokenizerCallOptions } from "../tokenization/options.ts";
import type { TokenizersBackend } from "../tokenization_utils_tokenizers.ts";
import type { TensorType } from "./batch_feature.ts";
import type { ImageInput } from "./image_inputs.ts";
import type { ImagesKwargs } from "./image_kwargs.ts";

/** What a processor tells its tokenizer. */
export type TextKwargs = Omit<TokenizerCallOptions, "tokenizer_kwargs" | "split_special_tokens">;

/** What a processor gives beside ids and pixels. */
export interface ProcessorOutputKwargs {
  /** Adds `mm_token_type_ids`: 1 for picture tokens, 0 for text. */
  return_mm_token_type_ids?: boolean;
  /** Adds `text_replacement_offsets`: what became of each place holder. */
  return_text_replacement_offsets?: boolean;
}

/** Everything that a processor can be told in a call, beside texts and pictures. */
export interface ProcessingKwargs
  extends TextKwargs,
    Omit<ImagesKwargs, "return_tensors">,
    ProcessorOutputKwargs {
  /** Options for the tokenizer alone. */
  text_kwargs?: TokenizerCallOptions & ProcessorOutputKwargs;
  /** Options for the image processor alone. */
  images_kwargs?: ImagesKwargs & Readonly<Record<string, unknown>>;
  /** Options for both; those said elsewhere go before. */
  common_kwargs?: { return_tensors?: TensorType | null };
  videos_kwargs?: Readonly<Record<string, never>>;
  audio_kwargs?: Readonly<Record<string, never>>;
  signal?: AbortSignal;
}

/** What a processor prepares. */
export interface ProcessorInputs {
  /** One picture, or all pictures in the order of their place holders; also as one list for each text. */
  images?: ImageInput | null;
  text?: string | readonly string[] | null;
  videos?: null;
  audio?: null;
}

/** What a processor takes. */
export interface ProcessorArguments extends ProcessorInputs, ProcessingKwargs {}

/** Names of what goes to the tokenizer. */
const TEXT_KWARGS: readonly string[] = TOKENIZER_CALL_OPTIONS.filter(
  (name) => name !== "tokenizer_kwargs" && name !== "split_special_tokens",
);
const OUTPUT_KWARGS = ["return_mm_token_type_ids", "return_text_replacement_offsets"] as const;
const INPUTS = ["images", "text", "videos", "audio"];
const GROUPS = ["text_kwargs", "images_kwargs", "common_kwargs", "videos_kwargs", "audio_kwargs"];

/** Options sorted by who they are for. */
export interface MergedKwargs {
  text_kwargs: TokenizerCallOptions;
  images_kwargs: ImagesKwargs & { signal?: AbortSignal };
  output: Required<ProcessorOutputKwargs>;
}

/** What a processor brings to the merging of options. */
export interface KwargsContext {
  /** What was called, for messages. */
  where: string;
  imageKwargs: readonly string[];
  tokenizer: TokenizersBackend | null;
  /** Defaults of the processor's class. */
  defaults: { text_kwargs?: TokenizerCallOptions; images_kwargs?: ImagesKwargs };
}

type Group = Record<string, unknown>;

/** All names of options that a processor with these image options knows. */
export function knownKwargs(imageKwargs: readonly string[]): string[] {
  return [...new Set([...INPUTS, ...TEXT_KWARGS, ...imageKwargs, ...OUTPUT_KWARGS, ...GROUPS, "signal"])];
}

/**
 * Sorts the options of a call, from the lowest rank to the highest: the class's defaults, what the tokenizer was
 * made with, `common_kwargs`, and what was said flat or in a group. A name that several know goes to all of them.
 *
 * @throws OptionError for a name that nobody knows, or that is said both flat and in a group
 */
export function mergeKwargs(given: Readonly<Group>, context: KwargsContext): MergedKwargs {
  const { where, imageKwargs, tokenizer, defaults } = context;
  const groups: [name: string, valid: readonly string[], options: Group][] = [
    ["text_kwargs", TEXT_KWARGS, { ...defaults.text_kwargs }],
    ["images_kwargs", imageKwargs, { ...defaults.images_kwargs }],
  ];
  for (const [, valid, options] of groups) Object.assign(options, tokenizerDefaults(tokenizer, valid));
  for (const [, , options] of groups) Object.assign(options, given.common_kwargs);
  const flat = Object.entries(given).filter(
    ([name, value]) => value !== undefined && ![...INPUTS, ...GROUPS, "signal"].includes(name),
  );
  for (const [name, valid, options] of groups) {
    const inGroup = (given[name] ?? {}) as Group;
    for (const key of Object.keys(inGroup)) checkOnce(key, name, given, valid, inGroup);
    Object.assign(options, inGroup, Object.fromEntries(flat.filter(([key]) => valid.includes(key))));
  }
  const known = knownKwargs(imageKwargs);
  for (const [name] of [...flat, ...Object.entries(given)]) {
    if (!known.includes(name)) throw unknownOption(where, name, known);
  }
  refuseOthers(given);
  const [text_kwargs, images_kwargs] = groups.map(([, , options]) => options);
  for (const name of Object.keys(images_kwargs)) {
    if (!imageKwargs.includes(name)) throw unknownOption(`${where}: images_kwargs`, name, imageKwargs);
  }
  const { return_mm_token_type_ids, return_text_replacement_offsets, ...text } = text_kwargs;
  return {
    text_kwargs: text,
    images_kwargs: { ...images_kwargs, signal: given.signal as AbortSignal | undefined },
    output: {
      return_mm_token_type_ids: (given.return_mm_token_type_ids ?? return_mm_token_type_ids) === true,
      return_text_replacement_offsets:
        (given.return_text_replacement_offsets ?? return_text_replacement_offsets) === true,
    },
  };
}

/** What the tokenizer was made with, and is now, as far as calls have options of that name. */
function tokenizerDefaults(tokenizer: TokenizersBackend | null, valid: readonly string[]): Group {
  if (tokenizer === null) return {};
  const now = tokenizer as unknown as Readonly<Group>;
  const names = valid.filter((name) => Object.hasOwn(tokenizer.init_kwargs, name));
  return Object.fromEntries(names.map((name) => [name, now[name] ?? tokenizer.init_kwargs[name]]));
}

function checkOnce(
  key: string,
  group: string,
  given: Readonly<Group>,
  valid: readonly string[],
  inGroup: Group,
): void {
  const isOutput = (OUTPUT_KWARGS as readonly string[]).includes(key);
  if (given[key] === undefined || !(valid.includes(key) || isOutput)) return;
  if (isOutput && given[key] === inGroup[key]) return;
  throw new OptionError(`'${key}' was given twice: in ${group}, and beside it. Give it once.`, {
    where: key,
  });
}

/** @throws UnsupportedError for what this library's processors do not take */
export function refuseOthers(given: Readonly<Group>): void {
  for (const name of ["videos", "audio", "videos_kwargs", "audio_kwargs"]) {
    const value = given[name] ?? null;
    const isEmpty = value === null || (typeof value === "object" && Object.keys(value).length === 0);
    if (!isEmpty) throw new UnsupportedError(`${name}: LLaVA takes pictures and text only`, { where: name });
  }
}
