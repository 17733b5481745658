import { warnOnce } from "../base/env.ts";
import { OptionError } from "../base/errors.ts";
import { fieldError } from "../models/config_fields.ts";
import type { GenerationConfig } from "./configuration_utils.ts";
import { EXTRA_OUTPUTS, GENERATE_ARGUMENTS, GENERATION_FIELDS } from "./generation_fields.ts";

/** A setting, and why it has no effect. */
type Issue = readonly [name: string, issue: string];

/** What each setting that only sampling looks at is where it has no effect. */
const SAMPLING: readonly (readonly [name: keyof GenerationConfig, neutral: number | null])[] = [
  ["temperature", 1],
  ["top_p", 1],
  ["min_p", null],
  ["top_h", null],
  ["typical_p", 1],
  ["top_k", 50],
  ["epsilon_cutoff", 0],
  ["eta_cutoff", 0],
];

/** @throws OptionError naming a setting whose value cannot be, or what only generate() itself takes */
export function checkFields(config: GenerationConfig): void {
  const values = config as unknown as Record<string, unknown>;
  for (const [name, field] of Object.entries(GENERATION_FIELDS)) {
    if (!field.accepts(values[name])) throw fieldError(name, field, values[name]);
  }
  for (const name of GENERATE_ARGUMENTS) if (name in config) throw misplaced(name);
}

/** The error for an argument of `generate` that stands among settings. */
export function misplaced(name: string): OptionError {
  return new OptionError(`${name} is not a setting of GenerationConfig: give it to generate() itself`, {
    where: name,
  });
}

/** @throws OptionError naming settings that contradict each other */
export function refuseContradictions(config: GenerationConfig): void {
  const { num_return_sequences: returns, num_beams, do_sample } = config;
  if (returns !== null && returns > 1) {
    if ((num_beams ?? 1) === 1 && do_sample !== true) {
      throw new OptionError(
        `num_return_sequences: greedy search gives one sequence, got ${returns}. Set do_sample or num_beams.`,
        { where: "num_return_sequences", expected: 1, got: returns },
      );
    }
    if ((num_beams ?? 1) > 1 && returns > (num_beams ?? 1)) {
      throw new OptionError(
        `num_return_sequences: expected at most num_beams = ${num_beams}, got ${returns}`,
        { where: "num_return_sequences", expected: num_beams, got: returns },
      );
    }
  }
  refuseForcedAndSuppressed(config);
  if (config.max_cache_len !== null && !/static|sliding|hybrid/.test(config.cache_implementation ?? "")) {
    warnOnce(`max_cache_len has no effect with cache_implementation ${config.cache_implementation}.`);
  }
}

function refuseForcedAndSuppressed(config: GenerationConfig): void {
  const { suppress_tokens } = config;
  if (suppress_tokens === null) return;
  for (const name of ["forced_bos_token_id", "forced_eos_token_id"] as const) {
    const value = config[name];
    if (value === null) continue;
    const forced = typeof value === "number" ? [value] : value;
    if (forced.length === 0 || !forced.every((id) => suppress_tokens.includes(id))) continue;
    throw new OptionError(
      `${name}: every token of it (${forced.join(", ")}) is in suppress_tokens, so nothing could be generated there`,
      { where: name, got: value },
    );
  }
}

/**
 * Settings that have no effect beside the others. Those that only the other side of a pair makes idle count where the
 * caller set them himself, or said nothing.
 */
export function minorIssues(config: GenerationConfig, userSet: ReadonlySet<string> | undefined): Issue[] {
  const issues: Issue[] = [];
  const concerns = (outer: string, inner: string): boolean => {
    return !userSet?.has(outer) || userSet.has(inner);
  };
  if (config.pad_token_id !== null && config.pad_token_id < 0) {
    issues.push(["pad_token_id", `should be an id of the vocabulary, got ${config.pad_token_id}`]);
  }
  if (config.do_sample !== true) {
    for (const [name, neutral] of SAMPLING) {
      const value = config[name];
      if (value === null || value === neutral || !concerns("do_sample", name)) continue;
      issues.push([name, `is ${value}, but only sampling looks at it, and do_sample is not true`]);
    }
  }
  if ((config.num_beams ?? 1) === 1) {
    const { early_stopping, length_penalty } = config;
    if (early_stopping !== null && early_stopping !== false && concerns("num_beams", "early_stopping")) {
      issues.push(["early_stopping", "only beam search looks at it, and num_beams is 1"]);
    }
    if (length_penalty !== null && length_penalty !== 1 && concerns("num_beams", "length_penalty")) {
      issues.push(["length_penalty", "only beam search looks at it, and num_beams is 1"]);
    }
  }
  if (config.use_cache === false) {
    for (const name of ["cache_implementation", "cache_config"] as const) {
      if (config[name] !== null) issues.push([name, "there is no cache, as use_cache is false"]);
    }
  }
  if (config.return_dict_in_generate !== true) {
    for (const name of EXTRA_OUTPUTS) {
      if (config[name] === true) issues.push([name, "is left out, as return_dict_in_generate is not true"]);
    }
  }
  return issues;
}

/** Warns of settings that have no effect. @throws OptionError naming them where `strict` */
export function reportIssues(issues: readonly Issue[], strict: boolean): void {
  if (issues.length === 0) return;
  const list = issues.map(([name, issue]) => `- ${name}: ${issue}`).join("\n");
  if (strict) {
    throw new OptionError(`GenerationConfig is invalid:\n${list}`, { where: issues[0][0] });
  }
  warnOnce(`These generation settings have no effect:\n${list}`);
}
