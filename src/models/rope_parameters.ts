import { warnOnce } from "../base/env.ts";
import { OptionError } from "../base/errors.ts";
import { type ConfigDict, isRecord, LIMITS } from "./config_fields.ts";

/** How positions turn the queries and keys: `rope_parameters` of a config. */
export interface RopeParameters {
  rope_type: string;
  rope_theta: number;
  partial_rotary_factor?: number | null;
  factor?: number | null;
  original_max_position_embeddings?: number | null;
  attention_factor?: number | null;
  beta_fast?: number | null;
  beta_slow?: number | null;
  short_factor?: number[] | null;
  long_factor?: number[] | null;
  low_freq_factor?: number | null;
  high_freq_factor?: number | null;
  mscale?: number | null;
  mscale_all_dim?: number | null;
  truncate?: boolean | null;
  mrope_section?: number[] | null;
}

/** What of a config the parameters depend on. */
export interface RopeContext {
  max_position_embeddings?: number;
  original_max_position_embeddings?: number;
  head_dim?: number | null;
}

const DEFAULT_THETA = 10000;

/** Types whose frequencies depend on the length that the model was trained with first. */
const NEEDS_ORIGINAL_LENGTH = ["llama3", "yarn", "longrope"];

/**
 * Folds the older spellings into one `rope_parameters` object: `rope_scaling`, top-level `rope_theta` and
 * `partial_rotary_factor`, and `type` (kept, and copied to `rope_type`).
 *
 * @param given `rope_parameters` of the config
 * @param legacy the config's undeclared keys
 * @param defaultType the model's own type: `axial` for Pixtral's pictures
 */
export function foldRopeParameters(
  given: unknown,
  legacy: ConfigDict,
  context: RopeContext,
  defaultType: string,
): RopeParameters {
  const scaling = legacy.rope_scaling;
  if (scaling !== undefined && scaling !== null && !isRecord(scaling)) {
    throw new OptionError("rope_scaling: expected an object, or null", {
      where: "rope_scaling",
      got: scaling,
    });
  }
  const source = isRecord(scaling) && Object.keys(scaling).length > 0 ? scaling : given;
  const folded: Record<string, unknown> = isRecord(source) ? structuredClone(source) : {};
  folded.rope_theta ??= legacy.rope_theta ?? DEFAULT_THETA;
  const partial = legacy.partial_rotary_factor;
  if (partial !== undefined && partial !== null) folded.partial_rotary_factor ??= partial;
  folded.rope_type ??= folded.type ?? "default";
  if (folded.rope_type === "default") folded.rope_type = defaultType;
  if (NEEDS_ORIGINAL_LENGTH.includes(folded.rope_type as string)) {
    folded.original_max_position_embeddings ??= context.max_position_embeddings;
  }
  return checkTypes(folded);
}

const NUMBERS = [
  "rope_theta",
  "partial_rotary_factor",
  "factor",
  "original_max_position_embeddings",
  "attention_factor",
  "beta_fast",
  "beta_slow",
  "low_freq_factor",
  "high_freq_factor",
  "mscale",
  "mscale_all_dim",
];
const LISTS = ["short_factor", "long_factor", "mrope_section"];
/** Keys that hold an integer in Python; every other number there is a float. */
export const ROPE_INTEGERS: readonly string[] = ["original_max_position_embeddings", "mrope_section"];

/** Refuses values that the frequencies cannot be computed from. Unknown keys stay as they are. */
function checkTypes(parameters: Record<string, unknown>): RopeParameters {
  const refuse = (key: string, expected: string): never => {
    const where = `rope_parameters.${key}`;
    const got = parameters[key];
    throw new OptionError(`${where}: expected ${expected}, got ${JSON.stringify(got)}`, {
      where,
      expected,
      got,
    });
  };
  const absent = (key: string): boolean => parameters[key] === undefined || parameters[key] === null;
  for (const key of NUMBERS) if (!absent(key) && !Number.isFinite(parameters[key])) refuse(key, "a number");
  for (const key of LISTS) {
    const list = parameters[key];
    if (absent(key)) continue;
    const numbers = Array.isArray(list) && list.length <= LIMITS.hidden && list.every(Number.isFinite);
    if (!numbers) refuse(key, "a list of numbers");
  }
  if (typeof parameters.rope_type !== "string") refuse("rope_type", "a string");
  if (!((parameters.rope_theta as number) > 0)) refuse("rope_theta", "a number above 0");
  if (!absent("truncate") && typeof parameters.truncate !== "boolean") refuse("truncate", "true or false");
  return parameters as unknown as RopeParameters;
}

interface TypeRule {
  required: readonly string[];
  optional?: readonly string[];
}

const COMMON = ["rope_theta", "partial_rotary_factor", "type"];

const RULES: Readonly<Record<string, TypeRule>> = {
  default: { required: ["rope_type"] },
  axial: { required: ["rope_type"] },
  linear: { required: ["rope_type", "factor"] },
  dynamic: { required: ["rope_type", "factor"] },
  proportional: { required: ["rope_type", "rope_theta"] },
  yarn: {
    required: ["rope_type", "factor", "original_max_position_embeddings"],
    optional: ["attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"],
  },
  longrope: {
    required: ["rope_type", "short_factor", "long_factor", "original_max_position_embeddings"],
    optional: ["attention_factor", "factor"],
  },
  llama3: {
    required: [
      "rope_type",
      "factor",
      "original_max_position_embeddings",
      "low_freq_factor",
      "high_freq_factor",
      "rope_theta",
    ],
  },
};

/**
 * Checks that the parameters are what their type needs, and warns of what looks wrong, as Transformers does.
 *
 * @throws OptionError where a key is missing, or a head cannot be turned because its size is odd
 */
export function validateRopeParameters(parameters: RopeParameters, context: RopeContext): void {
  const type = parameters.rope_type;
  const rule = RULES[type];
  if (rule === undefined)
    warnOnce(`rope_parameters: the type '${type}' is not known; no model can be made of it.`);
  else checkKeys(parameters, rule);
  warnOfValues(parameters, context);
  checkEvenHead(parameters, context.head_dim);
}

function checkKeys(parameters: RopeParameters, rule: TypeRule): void {
  const type = parameters.rope_type;
  const missing = rule.required.filter((key) => !Object.hasOwn(parameters, key));
  if (missing.length > 0) {
    throw new OptionError(
      `rope_parameters: the type '${type}' needs ${missing.join(", ")}, which ${missing.length > 1 ? "are" : "is"} missing`,
      { where: "rope_parameters", expected: rule.required, got: Object.keys(parameters) },
    );
  }
  const known = [...rule.required, ...(rule.optional ?? []), ...COMMON];
  const unused = Object.keys(parameters).filter((key) => !known.includes(key));
  if (unused.length > 0) warnOnce(`rope_parameters: the type '${type}' does not use ${unused.join(", ")}.`);
}

function warnOfValues(parameters: RopeParameters, { max_position_embeddings: longest }: RopeContext): void {
  const { factor, low_freq_factor, high_freq_factor, beta_fast, beta_slow, rope_type } = parameters;
  const original = parameters.original_max_position_embeddings;
  if (factor !== undefined && factor !== null && factor < 1) {
    warnOnce(`rope_parameters: factor must be at least 1, got ${factor}.`);
  }
  if ((beta_fast || 32) < (beta_slow || 1)) {
    warnOnce(`rope_parameters: beta_fast must be above beta_slow, got ${beta_fast} and ${beta_slow}.`);
  }
  if (rope_type === "llama3" && (high_freq_factor ?? 0) <= (low_freq_factor ?? 0)) {
    warnOnce(
      `rope_parameters: high_freq_factor must be above low_freq_factor, got ${high_freq_factor} and ${low_freq_factor}.`,
    );
  }
  if (longest === undefined || original === undefined || original === null) return;
  if (rope_type === "llama3" && original >= longest) {
    warnOnce(
      `rope_parameters: original_max_position_embeddings must be below max_position_embeddings, got ${original} and ${longest}.`,
    );
  }
  const implied = longest / original;
  if (rope_type === "yarn" && implied !== factor && implied !== 1) {
    warnOnce(
      `rope_parameters: factor ${factor} is not max_position_embeddings / original_max_position_embeddings = ${implied}; ${factor} is used.`,
    );
  }
}

/** Heads of up to 4 elements are let through: tests use them. */
function checkEvenHead(parameters: RopeParameters, headDim: number | null | undefined): void {
  if (headDim === undefined || headDim === null || headDim <= 4 || headDim % 2 === 0) return;
  if (Math.trunc(headDim * (parameters.partial_rotary_factor ?? 1)) !== headDim) return;
  throw new OptionError(
    `head_dim: RoPE turns pairs of elements, so it needs an even head_dim, got ${headDim}`,
    {
      where: "head_dim",
      expected: "an even number",
      got: headDim,
    },
  );
}
