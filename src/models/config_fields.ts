import { OptionError } from "../base/errors.ts";
import { ACTIVATIONS, type ActivationName } from "../kernels/activation.ts";

/** JSON as it comes from a file or a caller: anything may be in it. */
export type ConfigDict = Readonly<Record<string, unknown>>;

/** One declared field of a configuration: what it is when absent, and what may be written into it. */
export interface Field {
  readonly default: unknown;
  /** What is accepted, as words for an error message. */
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
  /** Python holds a float here, so JSON must show one (`1.0`, not `1`). */
  readonly float?: boolean;
}

export type FieldTable = Readonly<Record<string, Field>>;

/** Sizes beyond these are damage or an attack, not a model; they bound what a config can make us allocate. */
export const LIMITS = {
  hidden: 2 ** 16,
  intermediate: 2 ** 19,
  layers: 1024,
  heads: 2048,
  vocabulary: 2 ** 22,
  imageSide: 2 ** 14,
  channels: 16,
  list: 2 ** 14,
  labels: 2 ** 17,
} as const;

/** A whole number in `[min, max]`. */
export function integer(value: number | null, min: number, max: number): Field {
  return {
    default: value,
    expected: `an integer from ${min} to ${max}`,
    accepts: (v) => Number.isSafeInteger(v) && (v as number) >= min && (v as number) <= max,
  };
}

/** A whole number from 1 to `max`: a count or a width. */
export function size(value: number | null, max: number): Field {
  return integer(value, 1, max);
}

/** The id of a token. Its place in the vocabulary is checked elsewhere: published files hold ids such as -1. */
export function tokenId(value: number | null): Field {
  return integer(value, -(2 ** 31), 2 ** 31 - 1);
}

/** A finite number in `[min, max]`. */
export function number(value: number, min = -Number.MAX_VALUE, max = Number.MAX_VALUE): Field {
  const bounds = min === -Number.MAX_VALUE && max === Number.MAX_VALUE ? "" : ` from ${min} to ${max}`;
  return {
    default: value,
    expected: `a number${bounds}`,
    accepts: (v) => Number.isFinite(v) && (v as number) >= min && (v as number) <= max,
    float: true,
  };
}

export function flag(value: boolean | null): Field {
  return { default: value, expected: "true or false", accepts: (v) => typeof v === "boolean" };
}

export function text(value: string | null): Field {
  return { default: value, expected: "a string", accepts: (v) => typeof v === "string" };
}

export function oneOf(value: string | null, choices: readonly string[]): Field {
  return {
    default: value,
    expected: choices.map((choice) => `"${choice}"`).join(" or "),
    accepts: (v) => typeof v === "string" && choices.includes(v),
  };
}

/** Any JSON object; what is inside is checked where it is used. */
export function record(value: object | null): Field {
  return { default: value, expected: "an object", accepts: isRecord };
}

/** A list of what `item` accepts. */
export function listOf(item: Field, value: readonly unknown[] | null = null): Field {
  return {
    default: value,
    expected: `a list of up to ${LIMITS.list} items, each ${item.expected}`,
    accepts: (v) => Array.isArray(v) && v.length <= LIMITS.list && v.every(item.accepts),
  };
}

/** What either accepts; the first gives the default. */
export function either(first: Field, second: Field): Field {
  return {
    default: first.default,
    expected: `${first.expected}, or ${second.expected}`,
    accepts: (v) => first.accepts(v) || second.accepts(v),
    float: first.float === true && second.float === true,
  };
}

/** The same field, or null. */
export function nullable(field: Field): Field {
  return {
    ...field,
    expected: `${field.expected}, or null`,
    accepts: (v) => v === null || field.accepts(v),
  };
}

/** The name of an activation function. */
export function activationName(value: ActivationName): Field {
  return oneOf(value, Object.keys(ACTIVATIONS));
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The error for a value that a field does not accept. */
export function fieldError(name: string, field: Field, got: unknown): OptionError {
  const shown = JSON.stringify(got)?.slice(0, 60) ?? String(got);
  return new OptionError(`${name}: expected ${field.expected}, got ${shown}`, {
    where: name,
    expected: field.expected,
    got,
  });
}
