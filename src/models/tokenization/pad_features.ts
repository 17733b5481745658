import { OptionError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import { Tensor } from "../../tensor/tensor.ts";
import type { Side } from "../../text/encoding.ts";
import type { TensorType } from "../processing/batch_feature.ts";
import { BatchEncoding } from "./batch_encoding.ts";
import { lengthOption, type PaddingStrategy, type PadToken, sideOption, strategiesOf } from "./options.ts";

/** What `pad` can be told. */
export interface PadOptions {
  /** Defaults to true. */
  padding?: boolean | PaddingStrategy;
  max_length?: number | null;
  pad_to_multiple_of?: number | null;
  padding_side?: Side | null;
  return_attention_mask?: boolean | null;
  return_tensors?: TensorType | null;
  verbose?: boolean;
}

const PAD_OPTIONS = [
  "padding",
  "max_length",
  "pad_to_multiple_of",
  "padding_side",
  "return_attention_mask",
  "return_tensors",
  "verbose",
];

/** What a tokenizer brings to padding. */
export interface PadSettings {
  /** The column that is padded with the padding token: input_ids. */
  inputName: string;
  withMask: boolean;
  side: Side;
  modelMaxLength: number;
  padToken: () => PadToken;
}

type Row = Record<string, number[]>;

/** Pads encoded texts, given as columns or as a list of rows. */
export function padFeatures(
  given: object | readonly object[],
  options: PadOptions,
  settings: PadSettings,
): BatchEncoding {
  checkOptions("pad", options, PAD_OPTIONS);
  const columns = plainColumns(given);
  const input = columns[settings.inputName];
  if (!Array.isArray(input)) {
    throw new OptionError(
      `pad: expected an encoding with ${settings.inputName}, got ${Object.keys(columns).join(", ") || "nothing"}`,
      { where: settings.inputName },
    );
  }
  const tensors = options.return_tensors === undefined ? "pt" : options.return_tensors;
  const single = input.length > 0 && !Array.isArray(input[0]);
  const rows = single ? [columns as Row] : rowsOf(columns, input.length);
  const target = targetLength(rows, options, settings);
  const padded = rows.map((row) => padRow(row, target, options, settings));
  const data: Record<string, unknown> = {};
  for (const name of Object.keys(padded[0] ?? columns)) data[name] = padded.map((row) => row[name]);
  if (single && tensors === null) return new BatchEncoding(padded[0]) as unknown as BatchEncoding;
  return new BatchEncoding(data, null, tensors) as unknown as BatchEncoding;
}

function plainColumns(given: object | readonly object[]): Record<string, unknown> {
  if (Array.isArray(given)) {
    const rows = given.map((row: object) => plainColumns(row));
    const names = Object.keys(rows[0] ?? {});
    return Object.fromEntries(names.map((name) => [name, rows.map((row) => row[name])]));
  }
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, value instanceof Tensor ? value.tolist() : value]),
  );
}

function rowsOf(columns: Record<string, unknown>, count: number): Row[] {
  for (const [name, value] of Object.entries(columns)) {
    if (Array.isArray(value) && value.length === count) continue;
    throw new OptionError(`pad: '${name}' has not ${count} rows`, { where: name, expected: count });
  }
  return Array.from({ length: count }, (_, i) =>
    Object.fromEntries(Object.entries(columns).map(([name, value]) => [name, (value as number[][])[i]])),
  );
}

/** The length that rows are brought to, or null where they are not padded. */
function targetLength(rows: readonly Row[], options: PadOptions, settings: PadSettings): number | null {
  // Not a truncation: a length alone says nothing without padding.
  const { padding, max_length } = strategiesOf(
    { padding: options.padding ?? true, truncation: false, max_length: options.max_length },
    settings.modelMaxLength,
  );
  if (padding === "do_not_pad") return null;
  const longest = Math.max(0, ...rows.map((row) => row[settings.inputName].length));
  const length = padding === "longest" ? longest : (max_length ?? longest);
  const multiple = lengthOption("pad_to_multiple_of", options.pad_to_multiple_of) ?? 0;
  return multiple > 0 ? Math.ceil(length / multiple) * multiple : length;
}

function padRow(row: Row, target: number | null, options: PadOptions, settings: PadSettings): Row {
  const { inputName } = settings;
  const length = row[inputName].length;
  const side = options.padding_side ? sideOption("padding_side", options.padding_side) : settings.side;
  const withMask = options.return_attention_mask ?? settings.withMask;
  const padded: Row = { ...row };
  if (withMask && padded.attention_mask === undefined) padded.attention_mask = Array(length).fill(1);
  const missing = (target ?? length) - length;
  if (missing <= 0) return padded;
  const token = settings.padToken();
  const fills: [string, number][] = [
    [inputName, token.id],
    ["attention_mask", 0],
    ["token_type_ids", token.type_id],
    ["special_tokens_mask", 1],
  ];
  for (const [name, value] of fills) {
    if (padded[name] === undefined || (name === "attention_mask" && !withMask)) continue;
    const fill: number[] = Array(missing).fill(value);
    padded[name] = side === "right" ? [...padded[name], ...fill] : [...fill, ...padded[name]];
  }
  return padded;
}
