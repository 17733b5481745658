import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { CheckpointError, OptionError, UnsupportedError } from "../../src/base/errors.ts";
import { AwqConfig, type AwqOptions } from "../../src/models/quantizers/awq_config.ts";
import {
  BitsAndBytesConfig,
  type BitsAndBytesOptions,
} from "../../src/models/quantizers/bitsandbytes_config.ts";
import { GPTQConfig, type GPTQOptions } from "../../src/models/quantizers/gptq_config.ts";
import { quantizationOf } from "../../src/models/quantizers/open_quantised.ts";

interface Case {
  name: string;
  options: Record<string, unknown>;
  refused?: boolean;
  to_dict: Record<string, unknown>;
  json: string;
  method?: string | null;
  quantizable?: boolean;
}

const { cases } = JSON.parse(
  readFileSync(new URL("../fixtures/quantised/configs.json", import.meta.url), "utf8"),
) as { cases: Case[] };

function make({ name, options }: Case): BitsAndBytesConfig | GPTQConfig | AwqConfig {
  if (name === "BitsAndBytesConfig") return new BitsAndBytesConfig(options as BitsAndBytesOptions);
  if (name === "GPTQConfig") return new GPTQConfig(options as unknown as GPTQOptions);
  return new AwqConfig(options as AwqOptions);
}

test.each(cases)("$name($options): as in Transformers", (given) => {
  if (given.refused) {
    expect(() => make(given)).toThrow(OptionError);
    return;
  }
  const config = make(given);
  expect(config.to_dict()).toEqual(given.to_dict);
  expect(config.to_json_string()).toBe(given.json);
  // what is written is read again
  expect(quantizationOf({ quantization_config: config.to_dict() })?.to_dict()).toEqual(given.to_dict);
  if (!(config instanceof BitsAndBytesConfig)) return;
  expect([config.quantization_method(), config.is_quantizable()]).toEqual([given.method, given.quantizable]);
});

test("unknown options are refused, unknown keys of a file are not", () => {
  expect(() => new BitsAndBytesConfig({ load_in_4bits: true } as BitsAndBytesOptions)).toThrow(
    /load_in_4bits.*load_in_4bit/,
  );
  const config = BitsAndBytesConfig.from_dict({ load_in_4bit: true, _load_in_4bit: true, new_key: 3 });
  expect(config.load_in_4bit).toBe(true);
  expect(() => {
    config.load_in_8bit = true;
  }).toThrow(OptionError);
  expect(config.update({ bnb_4bit_quant_type: "nf4", other: 1 })).toEqual({ other: 1 });
  expect(config.quantization_method()).toBe("nf4");
});

test.each([
  [
    "a method that is not read",
    { quantization_config: { quant_method: "exl2", bits: 3 } },
    UnsupportedError,
    /"exl2"/,
  ],
  [
    "compressed-tensors",
    { quantization_config: { quant_method: "compressed-tensors" } },
    UnsupportedError,
    /Take the original/,
  ],
  ["MLX", { quantization: { group_size: 64, bits: 8 } }, UnsupportedError, /MLX/],
  ["a misspelt name alone", { quantizaion_config: { quant_method: "awq" } }, CheckpointError, /misspelt/],
  ["no method", { quantization_config: { bits: 4 } }, CheckpointError, /quant_method/],
  ["no object", { quantization_config: "awq" }, CheckpointError, /an object/],
  [
    "a value that cannot be",
    { quantization_config: { quant_method: "gptq", bits: 5 } },
    CheckpointError,
    /bits/,
  ],
])("refused: %s", (_, config, error, message) => {
  expect(() => quantizationOf(config)).toThrow(error);
  expect(() => quantizationOf(config)).toThrow(message);
});

test("where both spellings stand in a file, the right one counts", () => {
  const quantization_config = {
    quant_method: "awq",
    bits: 4,
    group_size: 128,
    version: "gemm",
    zero_point: true,
  };
  const both = quantizationOf({ quantization_config, quantizaion_config: { quant_method: "gptq", bits: 8 } });
  expect(both).toBeInstanceOf(AwqConfig);
  expect(quantizationOf({})).toBeUndefined();
  expect(quantizationOf({ quantization_config: { load_in_8bit: true } })).toBeInstanceOf(BitsAndBytesConfig);
});
