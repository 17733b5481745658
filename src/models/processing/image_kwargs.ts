import { OptionError } from "../../base/errors.ts";
import { either, type FieldTable, flag, integer, listOf, nullable, number, oneOf } from "../config_fields.ts";
import { get_size_dict, type SizeDict, type SizeLike } from "./image_sizes.ts";

/** Pillow's codes: 0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box, 5 hamming. */
export type Resampling = 0 | 1 | 2 | 3 | 4 | 5;

/** Which axis of an array holds the channels. */
export type ChannelDimension = "channels_first" | "channels_last";

/** What an image processor can be told, in its constructor, in files, and in a call. */
export interface ImagesKwargs {
  /** Grey to RGB, alpha onto white. */
  do_convert_rgb?: boolean | null;
  do_resize?: boolean | null;
  size?: SizeLike | null;
  /** What a plain number means as `size`: a square, or the shorter edge. */
  default_to_square?: boolean | null;
  crop_size?: SizeLike | null;
  resample?: Resampling | null;
  do_rescale?: boolean | null;
  rescale_factor?: number | null;
  do_normalize?: boolean | null;
  /** Of all channels, or of each, on the scale after rescaling. */
  image_mean?: number | readonly number[] | null;
  image_std?: number | readonly number[] | null;
  /** What is padded differs: Llava pads to a square before resizing, others to `pad_size` in the end. */
  do_pad?: boolean | null;
  pad_size?: SizeLike | null;
  do_center_crop?: boolean | null;
  /** Without effect, as in Transformers: the output is always [channels, height, width]. */
  data_format?: ChannelDimension | null;
  /** The layout of the arrays that are given; found out by their shape where it is null. */
  input_data_format?: ChannelDimension | null;
  /** Pictures are processed on the host: only "cpu". */
  device?: "cpu" | null;
  /** `"pt"` and `"np"` both give Tensors, the default; null gives nested number arrays. */
  return_tensors?: "pt" | "np" | null;
  /** Without effect: it never changes what comes out. */
  disable_grouping?: boolean | null;
  image_seq_length?: number | null;
}

/** The names of ImagesKwargs, in the order in which Transformers declares them. */
export const IMAGES_KWARGS = [
  "do_convert_rgb",
  "do_resize",
  "size",
  "default_to_square",
  "crop_size",
  "resample",
  "do_rescale",
  "rescale_factor",
  "do_normalize",
  "image_mean",
  "image_std",
  "do_pad",
  "pad_size",
  "do_center_crop",
  "data_format",
  "input_data_format",
  "device",
  "return_tensors",
  "disable_grouping",
  "image_seq_length",
] as const satisfies readonly (keyof ImagesKwargs)[];

/** ImagesKwargs after `standardize`: nothing undefined, sizes in their full form. */
export interface ResolvedKwargs {
  do_convert_rgb: boolean | null;
  do_resize: boolean | null;
  size: SizeDict | null;
  default_to_square: boolean | null;
  crop_size: SizeDict | null;
  resample: Resampling | null;
  do_rescale: boolean | null;
  rescale_factor: number | null;
  do_normalize: boolean | null;
  image_mean: number | readonly number[] | null;
  image_std: number | readonly number[] | null;
  do_pad: boolean | null;
  pad_size: SizeDict | null;
  do_center_crop: boolean | null;
  data_format: ChannelDimension | null;
  input_data_format: ChannelDimension | null;
  device: "cpu" | null;
  return_tensors: "pt" | "np" | null;
  disable_grouping: boolean | null;
  image_seq_length: number | null;
  patch_size: SizeLike | null;
}

const channelValues = nullable(either(number(0), listOf(number(0))));
const layout = nullable(oneOf(null, ["channels_first", "channels_last"]));
const switched = nullable(flag(null));

/** What each may be. Sizes are not here: `get_size_dict` checks them. */
const FIELDS: FieldTable = {
  do_convert_rgb: switched,
  do_resize: switched,
  default_to_square: switched,
  resample: nullable(integer(null, 0, 5)),
  do_rescale: switched,
  rescale_factor: nullable(number(0)),
  do_normalize: switched,
  image_mean: channelValues,
  image_std: channelValues,
  do_pad: switched,
  do_center_crop: switched,
  data_format: layout,
  input_data_format: layout,
  device: nullable(oneOf(null, ["cpu"])),
  return_tensors: nullable(oneOf(null, ["pt", "np"])),
  disable_grouping: switched,
  image_seq_length: nullable(integer(null, 0, 2 ** 31)),
};

/**
 * The options with sizes in their full form, every value checked.
 *
 * @param where what was called, for messages
 * @throws OptionError naming the option, what it may be, and what it is
 */
export function standardize(where: string, kwargs: Readonly<Record<string, unknown>>): ResolvedKwargs {
  for (const [name, field] of Object.entries(FIELDS)) {
    const value = kwargs[name] ?? null;
    if (field.accepts(value)) continue;
    throw new OptionError(`${where}: '${name}' must be ${field.expected}; got ${JSON.stringify(value)}`, {
      where: name,
      expected: field.expected,
      got: value,
    });
  }
  const values = Object.fromEntries(Object.entries(kwargs).map(([name, value]) => [name, value ?? null]));
  return { ...values, ...standardizeSizes(kwargs) } as unknown as ResolvedKwargs;
}

const isAbsent = (value: unknown) => value === undefined || value === null;

/** The three sizes in their full form. A number as `size` is read as `default_to_square` says. */
export function standardizeSizes(
  kwargs: Readonly<Record<string, unknown>>,
): Pick<ResolvedKwargs, "size" | "crop_size" | "pad_size"> {
  const full = (param_name: string, default_to_square: boolean): SizeDict | null =>
    isAbsent(kwargs[param_name])
      ? null
      : get_size_dict(kwargs[param_name] as SizeLike, { default_to_square, param_name });
  return {
    size: full("size", kwargs.default_to_square === true),
    crop_size: full("crop_size", true),
    pad_size: full("pad_size", true),
  };
}

type Checked = Partial<Pick<ResolvedKwargs, "do_pad" | "pad_size">> &
  Partial<
    Pick<ResolvedKwargs, "do_rescale" | "rescale_factor" | "do_normalize" | "image_mean" | "image_std">
  > &
  Partial<Pick<ResolvedKwargs, "do_center_crop" | "crop_size" | "do_resize" | "size" | "resample">>;

/**
 * Checks that whatever is switched on has what it needs.
 *
 * @throws OptionError naming what is missing
 */
export function validate_preprocess_arguments(kwargs: Checked): void {
  const needs: [keyof Checked, (keyof Checked)[]][] = [
    ["do_rescale", ["rescale_factor"]],
    ["do_pad", ["pad_size"]],
    ["do_normalize", ["image_mean", "image_std"]],
    ["do_center_crop", ["crop_size"]],
    ["do_resize", ["size", "resample"]],
  ];
  for (const [step, wanted] of needs) {
    if (!kwargs[step]) continue;
    const missing = wanted.filter((name) => isAbsent(kwargs[name]));
    if (missing.length > 0) {
      throw new OptionError(`${missing.join(" and ")} must be given where ${step} is true`, {
        where: missing[0],
      });
    }
  }
}
