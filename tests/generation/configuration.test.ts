import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { env } from "../../src/base/env.ts";
import { CheckpointError, OptionError, UnsupportedError } from "../../src/base/errors.ts";
import { GenerationConfig } from "../../src/generation/configuration_utils.ts";
import type { GenerationSettings } from "../../src/generation/generation_fields.ts";
import { WatermarkingConfig } from "../../src/generation/watermarking_config.ts";
import { LlavaConfig } from "../../src/models/llava/configuration_llava.ts";
import { temporaryFolder } from "../temporary.ts";
import { recorded } from "./recorded.ts";

interface Recorded {
  configs: { settings: Record<string, unknown>; to_dict: object; json: string }[];
  wrong: [GenerationSettings, string][];
  idle: { settings: GenerationSettings; names: string[] }[];
  modes: { settings: GenerationSettings; assistant: boolean; mode: string }[];
  model_configs: { config: Record<string, unknown>; raw?: boolean; json: string }[];
}
const { configs, wrong, idle, modes, model_configs } = recorded<Recorded>("configs.json");
const said: string[] = [];
env.logger = (message) => said.push(message);

describe("what Transformers makes of settings", () => {
  for (const { settings, to_dict, json } of configs) {
    test(JSON.stringify(settings).slice(0, 70), () => {
      const config = GenerationConfig.from_dict(settings);
      expect(config.to_dict()).toEqual(to_dict);
      expect(config.to_json_string()).toBe(json);
      expect(GenerationConfig.from_dict(JSON.parse(json)).equals(config)).toBe(true);
    });
  }
  for (const { config, raw, json } of model_configs) {
    test(`of a model's config: ${JSON.stringify(config)}`, () => {
      const source = raw ? config : LlavaConfig.from_dict(config);
      expect(GenerationConfig.from_model_config(source).to_json_string()).toBe(json);
    });
  }
  for (const { settings, assistant, mode } of modes) {
    test(`mode ${mode} of ${JSON.stringify(settings)}${assistant ? " with a draft model" : ""}`, () => {
      const config = new GenerationConfig(settings);
      expect(config.get_generation_mode({ assistant_model: assistant ? {} : null })).toBe(mode);
    });
  }
});

describe("what Transformers refuses", () => {
  for (const [settings, where] of wrong) {
    test(JSON.stringify(settings), () => {
      if ("compile_config" in settings) return; // never looked at here: generate refuses it by name
      expect(() => new GenerationConfig(settings)).toThrow(OptionError);
      expect(() => new GenerationConfig(settings)).toThrow(new RegExp(where));
    });
  }

  test("and what no one knows, or cannot be", () => {
    expect(() => new GenerationConfig({ max_new_token: 3 } as object)).toThrow(/'max_new_tokens'/);
    expect(() => new GenerationConfig({ temperature: "hot" } as object)).toThrow(/temperature/);
    expect(() => new GenerationConfig({ num_beams: 1e9 })).toThrow(/num_beams/);
    expect(() => GenerationConfig.from_dict(JSON.parse('{"__proto__": {}}'))).toThrow(OptionError);
    expect(() => new WatermarkingConfig({ biass: 1 } as object)).toThrow(/'bias'/);
  });
});

describe("settings without effect", () => {
  for (const { settings, names } of idle) {
    test(JSON.stringify(settings), () => {
      const config = new GenerationConfig(settings);
      if (names.length === 0) return expect(() => config.validate({ strict: true })).not.toThrow();
      expect(() => config.validate({ strict: true })).toThrow(OptionError);
      for (const name of names)
        expect(() => config.validate({ strict: true })).toThrow(new RegExp(`- ${name}:`));
    });
  }

  test("are warned of where the caller set them, not where a file did", () => {
    const config = GenerationConfig.from_dict({ temperature: 0.25, do_sample: true });
    said.length = 0;
    config.update({ do_sample: false });
    expect(said).toEqual([]);
    config.update({ temperature: 0.125 });
    expect(said.join()).toContain("temperature");
  });
});

describe("update", () => {
  test("sets what it has and gives back the rest", () => {
    const config = new GenerationConfig({ top_k: 7, do_sample: true });
    expect(config.update({ top_k: 8, top_p: 0.5, foo: 1, defaults_only: true })).toEqual({
      top_k: 8,
      foo: 1,
    });
    expect([config.top_k, config.top_p]).toEqual([7, 0.5]);
    expect(config.update({ foo: 1, allow_custom_entries: true })).toEqual({});
    expect(config.to_dict().foo).toBe(1);
    config.update({ watermarking_config: { bias: 3 } });
    expect(config.watermarking_config).toBeInstanceOf(WatermarkingConfig);
    expect(() => config.update({ max_new_tokens: 0 })).toThrow(OptionError);
  });

  test("a copy says the same, and changes by itself", () => {
    const config = GenerationConfig.from_dict({ num_beams: 3, watermarking_config: { bias: 2 }, foo: [1] });
    const copy = config.copy();
    expect(copy.equals(config)).toBe(true);
    copy.update({ num_beams: 4 });
    expect([config.num_beams, copy.num_beams]).toEqual([3, 4]);
  });
});

describe("files", () => {
  const folder = (): string => temporaryFolder("generation");

  test("save and load", async () => {
    const dir = join(folder(), "new");
    const config = new GenerationConfig({ max_new_tokens: 5, do_sample: true, temperature: 2 });
    await config.save_pretrained(dir);
    const text = readFileSync(join(dir, "generation_config.json"), "utf8");
    expect(text).toContain('"temperature": 2.0');
    const loaded = await GenerationConfig.from_pretrained(dir, { top_k: 3 });
    expect([loaded.max_new_tokens, loaded.top_k, loaded.temperature]).toEqual([5, 3, 2]);
    await config.save_pretrained(dir, { config_file_name: "other.json" });
    expect(
      (await GenerationConfig.from_pretrained(dir, { config_file_name: "other.json" })).equals(config),
    ).toBe(true);
    await expect(GenerationConfig.from_pretrained(dir, { config_file_name: "none.json" })).rejects.toThrow(
      /none/,
    );
    await expect(GenerationConfig.from_pretrained(dir, { top_kk: 3 })).rejects.toThrow(OptionError);
    const [, unused] = await GenerationConfig.from_pretrained(dir, { top_kk: 3, return_unused_kwargs: true });
    expect(unused).toEqual({ top_kk: 3 });
  });

  test("one that contradicts itself is saved only as it was loaded", async () => {
    const dir = folder();
    writeFileSync(join(dir, "generation_config.json"), JSON.stringify({ temperature: 0.7, top_p: 0.9 }));
    const config = await GenerationConfig.from_pretrained(dir);
    await config.save_pretrained(dir);
    config.top_p = 0.8;
    await expect(config.save_pretrained(dir)).rejects.toThrow(/top_p/);
    const upload = { push_to_hub: true } as unknown as { push_to_hub: false };
    await expect(new GenerationConfig().save_pretrained(dir, upload)).rejects.toThrow(UnsupportedError);
  });

  test("without one, the model's config is asked", async () => {
    const dir = folder();
    await LlavaConfig.from_dict({ text_config: { eos_token_id: [7, 8], pad_token_id: 3 } }).save_pretrained(
      dir,
    );
    const config = await GenerationConfig.from_pretrained(dir);
    expect([config.eos_token_id, config.pad_token_id]).toEqual([[7, 8], 3]);
  });

  test("a fault is the file's, by setting", async () => {
    const dir = folder();
    writeFileSync(join(dir, "generation_config.json"), JSON.stringify({ top_k: "many" }));
    const error = await GenerationConfig.from_pretrained(dir).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as CheckpointError).message).toContain("generation_config.json: top_k");
  });
});
