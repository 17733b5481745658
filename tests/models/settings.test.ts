import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { OptionError, UnsupportedError } from "../../src/base/errors.ts";
import { GenerationConfig } from "../../src/generation/configuration_utils.ts";
import { Checkpoints } from "./runs.ts";

describe("settings of generate", () => {
  const checkpoints = new Checkpoints();
  let model: LlavaForConditionalGeneration;
  let input_ids: number[][];
  let answer: number[][];

  beforeAll(async () => {
    model = await checkpoints.model("hub-f32");
    const { text } = (await checkpoints.facts("hub-f32")).facts.runs;
    input_ids = text.input_ids;
    answer = text.sequences;
  });
  afterAll(() => checkpoints.dispose());

  test("inputs is another way to say input_ids, as in Transformers; both are too many", async () => {
    expect(
      (await model.generate({ inputs: input_ids, max_new_tokens: 12, pad_token_id: 0 })).tolist(),
    ).toEqual(answer);
    await expect(model.generate({ inputs: input_ids, input_ids })).rejects.toThrow("one of the two");
  });

  test("null in the call turns off what the model's settings say", async () => {
    const eos_token_id = answer[0][8];
    const ended = [1, answer[0].indexOf(eos_token_id, 5) + 1];
    model.generation_config.eos_token_id = eos_token_id;
    const generate = (more: object) =>
      model.generate({ input_ids, max_new_tokens: 12, pad_token_id: 0, ...more });
    try {
      expect((await generate({})).shape).toEqual(ended);
      expect((await generate({ eos_token_id: undefined })).shape).toEqual(ended);
      expect((await generate({ eos_token_id: null })).tolist()).toEqual(answer);
      const generation_config = new GenerationConfig({ max_new_tokens: 2 });
      expect((await model.generate({ input_ids, generation_config })).shape).toEqual([1, 7]);
    } finally {
      model.generation_config.eos_token_id = null;
    }
  });

  test("settings beside a generation_config win, with a warning", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const generation_config = new GenerationConfig({ max_new_tokens: 2, pad_token_id: 0 });
    const out = await model.generate({ input_ids, generation_config, max_new_tokens: 3 });
    expect(out.shape).toEqual([1, 8]);
    expect(warn.mock.calls.flat().join()).toContain("max_new_tokens");
    warn.mockRestore();
  });

  test("a static cache takes its memory before the first step, and gives it back", async () => {
    const out = await model.generate({
      input_ids,
      max_new_tokens: 2,
      pad_token_id: 0,
      cache_implementation: "static",
      max_cache_len: 500,
      return_dict_in_generate: true,
    });
    expect(out.sequences.tolist()).toEqual([answer[0].slice(0, 7)]);
    expect(out.past_key_values?.row(0).pages.length).toBe(8); // of 64 tokens
    out.past_key_values?.dispose();
    const dynamic = await model.generate({
      input_ids,
      max_new_tokens: 2,
      pad_token_id: 0,
      return_dict_in_generate: true,
    });
    expect(dynamic.past_key_values?.row(0).pages.length).toBe(1);
    const { past_key_values } = dynamic;
    await expect(
      model.generate({ input_ids: answer, past_key_values, cache_implementation: "static" }),
    ).rejects.toThrow("give one of the two");
    past_key_values?.dispose();
  });

  test.each([
    ["cache_implementation", "quantized"],
    ["cache_implementation", "paged"],
    ["cache_config", { nbits: 4 }],
    ["custom_generate", "someone/something"],
    ["trust_remote_code", true],
    ["synced_gpus", true],
    ["assistant_tokenizer", {}],
    ["assistant_early_exit", 2],
    ["use_mtp", true],
    ["speculation_type", "dflash"],
    ["low_memory", true],
    ["compile_config", {}],
    ["penalty_alpha", 0.6],
    ["diversity_penalty", 0.5],
  ])("%s: %j is refused by name, with the reason", async (name, value) => {
    const failed = model.generate({ input_ids, max_new_tokens: 2, [name]: value });
    await expect(failed).rejects.toBeInstanceOf(UnsupportedError);
    await expect(failed).rejects.toThrow(new RegExp(`${name}.*: .{20}`));
  });

  test.each(["synced_gpus", "trust_remote_code", "disable_compile", "low_memory", "use_mtp"])(
    "%s: false changes nothing",
    async (name) => {
      const out = await model.generate({ input_ids, max_new_tokens: 12, pad_token_id: 0, [name]: false });
      expect(out.tolist()).toEqual(answer);
    },
  );

  test("an unknown argument is named, with the nearest known one", async () => {
    const failed = model.generate({ input_ids, max_new_tokens: 2, ["synced_gpu" as string]: true });
    await expect(failed).rejects.toBeInstanceOf(OptionError);
    await expect(failed).rejects.toThrow("synced_gpus");
  });
});
