import { OptionError, ShapeError } from "../base/errors.ts";
import type { Device } from "../devices/device.ts";
import { PositionTables, type Rotary, type RotaryFrequencies, rotaryOfAngles } from "../nn/rotary.ts";
import type { Rows } from "../nn/rows.ts";
import type { RopeParameters } from "./rope_parameters.ts";
import { headDim } from "./text_config.ts";

/** What of a config the rotary frequencies come from. */
export interface RopeConfig {
  hidden_size: number;
  num_attention_heads: number;
  head_dim?: number | null;
  max_position_embeddings: number;
  /** Set by some files beside `rope_parameters`; it wins. */
  original_max_position_embeddings?: number | null;
  rope_parameters: RopeParameters;
}

/** The parameters, with the config's part worked out. Everything below is float32, as in torch, where it matters. */
interface RopeInput {
  parameters: RopeParameters;
  /** Elements of a head. */
  head: number;
  /** Elements of a head that are turned. */
  dim: number;
  theta: number;
  longest: number;
  /** `original_max_position_embeddings`. */
  original: number;
}

const { fround } = Math;

/** theta^(2j / dim) for j < dim/2. */
function powers(theta: number, dim: number): Float32Array {
  return Float32Array.from({ length: Math.ceil(dim / 2) }, (_, j) => theta ** fround((2 * j) / dim));
}

/** 1 / theta^(2j / dim) for j < dim/2. */
export function defaultFrequencies(theta: number, dim: number): Float32Array {
  return powers(theta, dim).map((power) => 1 / power);
}

/** The models here turn whole heads in this type, whatever `partial_rotary_factor` says. */
function computeDefault({ theta, head }: RopeInput): RotaryFrequencies {
  return { inv_freq: defaultFrequencies(theta, head), attention_scaling: 1 };
}

function computeLinear({ theta, dim, parameters }: RopeInput): RotaryFrequencies {
  const factor = fround(numberOf(parameters, "factor"));
  return { inv_freq: defaultFrequencies(theta, dim).map((f) => f / factor), attention_scaling: 1 };
}

/** NTK scaling: the base grows with the length, once that is past what the model was trained with. */
function computeDynamic({ theta, dim, parameters, longest }: RopeInput, length = 0): RotaryFrequencies {
  const factor = numberOf(parameters, "factor");
  const stretch = (factor * Math.max(length, longest)) / longest - (factor - 1);
  const base = theta * stretch ** (dim / (dim - 2));
  return { inv_freq: defaultFrequencies(base, dim), attention_scaling: 1 };
}

/** YaRN (arXiv 2309.00071): slow dimensions are interpolated, fast ones left alone, a ramp between. */
function computeYarn({ theta, dim, parameters, longest, original }: RopeInput): RotaryFrequencies {
  const factor = parameters.factor ?? longest / original;
  const correction = (rotations: number): number =>
    (dim * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  let low = correction(parameters.beta_fast || 32);
  let high = correction(parameters.beta_slow || 1);
  if (parameters.truncate ?? true) [low, high] = [Math.floor(low), Math.ceil(high)];
  [low, high] = [Math.max(low, 0), Math.min(high, dim - 1)];
  if (low === high) high += 0.001;
  const inv_freq = powers(theta, dim).map((power, j) => {
    const kept = fround(1 / power);
    const interpolated = fround(1 / fround(fround(factor) * power));
    const ramp = Math.min(1, Math.max(0, fround(fround(j - low) / fround(high - low))));
    const keep = fround(1 - ramp);
    return fround(interpolated * fround(1 - keep)) + fround(kept * keep);
  });
  return { inv_freq, attention_scaling: yarnScaling(parameters, factor) };
}

function yarnScaling({ attention_factor, mscale, mscale_all_dim }: RopeParameters, factor: number): number {
  if (attention_factor !== undefined && attention_factor !== null) return attention_factor;
  const scale = (m: number): number => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);
  return mscale && mscale_all_dim ? scale(mscale) / scale(mscale_all_dim) : scale(1);
}

/** LongRoPE: a factor for each dimension, one set up to the first training length and one past it. */
function computeLongrope(
  { theta, dim, parameters, longest, original }: RopeInput,
  length = 0,
): RotaryFrequencies {
  const name = length > original ? "long_factor" : "short_factor";
  const factors = parameters[name] ?? [];
  const base = powers(theta, dim);
  if (factors.length !== base.length) {
    throw new ShapeError(
      `rope_parameters.${name}: expected ${base.length} numbers (half the turned elements of a head), got ${factors.length}`,
      { where: `rope_parameters.${name}`, expected: base.length, got: factors.length },
    );
  }
  const inv_freq = base.map((power, j) => 1 / fround(fround(factors[j]) * power));
  const factor = parameters.factor ?? longest / original;
  const scaling = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  return { inv_freq, attention_scaling: parameters.attention_factor ?? scaling };
}

/** Llama 3.1: long wavelengths are stretched by `factor`, short ones left alone, a ramp between. */
function computeLlama3({ theta, dim, parameters, original }: RopeInput): RotaryFrequencies {
  const factor = fround(numberOf(parameters, "factor"));
  const low = numberOf(parameters, "low_freq_factor");
  const high = numberOf(parameters, "high_freq_factor");
  const inv_freq = defaultFrequencies(theta, dim).map((f) => {
    const wavelength = fround(fround(2 * Math.PI) / f);
    if (wavelength > original / low) return f / factor;
    if (wavelength < original / high) return f;
    const smooth = fround(fround(fround(original / wavelength) - low) / (high - low));
    return fround(fround(fround(1 - smooth) * f) / factor) + fround(smooth * f);
  });
  return { inv_freq, attention_scaling: 1 };
}

/**
 * Rotary frequencies by `rope_type`. `length` is the longest sequence in tokens; `dynamic` and `longrope` depend
 * on it.
 */
const ROPE_INIT_FUNCTIONS: Readonly<
  Record<string, (input: RopeInput, length?: number) => RotaryFrequencies>
> = {
  default: computeDefault,
  linear: computeLinear,
  dynamic: computeDynamic,
  yarn: computeYarn,
  longrope: computeLongrope,
  llama3: computeLlama3,
};

/** Types whose frequencies are the same for every length. */
const FIXED_TYPES = ["default", "linear", "yarn", "llama3"];

/** Whether the frequencies are the same for sequences of every length. */
export function hasFixedFrequencies({ rope_parameters }: RopeConfig): boolean {
  return FIXED_TYPES.includes(rope_parameters.rope_type);
}

/**
 * The rotary frequencies of a text model, and the factor on cosine and sine.
 *
 * @param length tokens of the longest sequence so far
 * @throws OptionError where the type is not known
 */
export function ropeFrequencies(config: RopeConfig, length = 0): RotaryFrequencies {
  const { rope_parameters: parameters, max_position_embeddings: longest } = config;
  const compute = Object.hasOwn(ROPE_INIT_FUNCTIONS, parameters.rope_type)
    ? ROPE_INIT_FUNCTIONS[parameters.rope_type]
    : undefined;
  if (compute === undefined) {
    const known = Object.keys(ROPE_INIT_FUNCTIONS);
    throw new OptionError(
      `rope_parameters.rope_type: expected one of ${known.join(", ")}, got "${parameters.rope_type}"`,
      { where: "rope_parameters.rope_type", expected: known, got: parameters.rope_type },
    );
  }
  const head = headDim(config);
  const dim = Math.trunc(head * (parameters.partial_rotary_factor ?? 1));
  const original =
    config.original_max_position_embeddings ?? parameters.original_max_position_embeddings ?? longest;
  return compute({ parameters, head, dim, theta: parameters.rope_theta, longest, original }, length);
}

/** What of the rows the angles depend on. */
type RotaryRows = Pick<Rows, "positions" | "ranges">;

const kept = new WeakMap<RopeConfig, PositionTables>();

function tablesOf(config: RopeConfig): PositionTables {
  const tables = kept.get(config) ?? new PositionTables(ropeFrequencies(config));
  kept.set(config, tables);
  return tables;
}

/**
 * Inside a step: the angles of the next rows. Frequencies that depend on the length are those of the longest sequence
 * of the same call, as in Transformers; unlike there, calls that came before or run beside change nothing.
 */
export function rotaryOf(device: Device, config: RopeConfig, { positions, ranges }: RotaryRows): Rotary {
  if (hasFixedFrequencies(config)) return tablesOf(config).at(device, positions);
  const { inv_freq, attention_scaling } = ropeFrequencies(config);
  const F = inv_freq.length;
  const angles = new Float32Array(positions.length * F);
  for (const { first, rows, longest } of ranges) {
    const { inv_freq: own } = ropeFrequencies(config, longest);
    for (let t = first; t < first + rows; t++)
      for (let j = 0; j < F; j++) angles[t * F + j] = positions[t] * own[j];
  }
  return rotaryOfAngles(device, angles, F, attention_scaling);
}

function numberOf(
  parameters: RopeParameters,
  name: "factor" | "low_freq_factor" | "high_freq_factor",
): number {
  const value = parameters[name];
  if (typeof value === "number" && value > 0) return value;
  const where = `rope_parameters.${name}`;
  throw new OptionError(`${where}: expected a number above 0, got ${value}`, { where, got: value });
}
