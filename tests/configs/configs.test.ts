import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { env } from "../../src/base/env.ts";
import { CheckpointError, OptionError, UnsupportedError } from "../../src/base/errors.ts";
import { AutoConfig, CONFIG_MAPPING } from "../../src/models/auto/configuration_auto.ts";
import { CLIPVisionConfig } from "../../src/models/clip/configuration_clip.ts";
import type { PreTrainedConfig } from "../../src/models/configuration_utils.ts";
import { LlamaConfig } from "../../src/models/llama/configuration_llama.ts";
import { LlavaConfig } from "../../src/models/llava/configuration_llava.ts";
import type { ConfigClass } from "../../src/models/sub_config.ts";
import { temporaryFolder } from "../temporary.ts";

interface Recorded {
  configs: {
    name: string;
    cls: string;
    input: object;
    to_dict: object;
    to_diff_dict: object;
    json: string;
  }[];
  refused: { cls: string; input: object; where: string }[];
}
const recorded: Recorded = JSON.parse(
  readFileSync(new URL("../fixtures/configs/configs.json", import.meta.url), "utf8"),
);
env.logger = () => {};

function classOf(name: string): ConfigClass {
  for (const cls of CONFIG_MAPPING.values()) if (cls.name === name) return cls;
  throw new Error(`no class ${name}`);
}

function thrown(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** Where Python would write a float, our JSON must not show an integer. */
function floatPaths(json: string): string[] {
  return json
    .split("\n")
    .filter((line) => /: -?\d+\.\d+,?$|e-/.test(line))
    .map((line) => line.split(":")[0].trim());
}

describe("what Transformers makes of a config", () => {
  for (const { name, cls, input, to_dict, to_diff_dict, json } of recorded.configs) {
    test(name, () => {
      const config = classOf(cls).from_dict(input as Record<string, unknown>);
      expect(config.to_dict()).toEqual(to_dict);
      expect(config.to_diff_dict()).toEqual(to_diff_dict);
      expect(JSON.parse(config.to_json_string())).toEqual(JSON.parse(json));
      expect(floatPaths(config.to_json_string())).toEqual(floatPaths(json));
      const again = classOf(cls).from_dict(JSON.parse(config.to_json_string()));
      expect({ ...again.to_dict(), _name_or_path: "" }).toEqual({ ...to_dict, _name_or_path: "" });
    });
  }
});

describe("what Transformers refuses", () => {
  for (const { cls, input, where } of recorded.refused) {
    test(`${cls} ${JSON.stringify(input)}`, () => {
      const error = thrown(() => classOf(cls).from_dict(input as Record<string, unknown>));
      expect(error).toBeInstanceOf(OptionError);
      expect((error as OptionError).message).toContain(where);
      expect((error as OptionError).where).toContain(where);
    });
  }
});

describe("sizes that are damage or an attack", () => {
  const cases: [object, string][] = [
    [{ text_config: { hidden_size: 0 } }, "text_config.hidden_size"],
    [{ text_config: { hidden_size: 2 ** 40 } }, "text_config.hidden_size"],
    [{ text_config: { vocab_size: -5 } }, "text_config.vocab_size"],
    [{ text_config: { num_hidden_layers: 1e9 } }, "text_config.num_hidden_layers"],
    [{ text_config: { num_key_value_heads: 5 } }, "text_config.num_key_value_heads"],
    [{ text_config: { rms_norm_eps: -1 } }, "text_config.rms_norm_eps"],
    [{ text_config: { rope_theta: -10 } }, "text_config.rope_parameters.rope_theta"],
    [{ text_config: { hidden_act: "exec" } }, "text_config.hidden_act"],
    [{ vision_config: { patch_size: 0 } }, "vision_config.patch_size"],
    [{ vision_config: { image_size: 14, patch_size: 28 } }, "vision_config.patch_size"],
    [{ num_labels: 1e12 }, "num_labels"],
    [{ to_dict: 1 }, "to_dict"],
    [JSON.parse('{"__proto__": {"polluted": 1}}'), "__proto__"],
  ];
  for (const [input, where] of cases) {
    test(where, () => {
      const error = thrown(() => LlavaConfig.from_dict(input as Record<string, unknown>));
      expect(error).toBeInstanceOf(OptionError);
      expect((error as OptionError).message).toContain(where);
    });
  }
});

describe("a config in hand", () => {
  test("fields are typed, and an alias is the same field", () => {
    const config = new LlavaConfig({ image_token_id: 7 });
    const width: number = config.text_config.hidden_size;
    expect([width, config.image_token_index]).toEqual([4096, 7]);
    config.image_token_id = 8;
    expect(config.image_token_index).toBe(8);
    expect(Object.keys(config)).not.toContain("image_token_id");
  });

  test("a field refuses later what it refuses at first", () => {
    const config = new LlavaConfig();
    expect(() => Object.assign(config, { vision_feature_layer: "x" })).toThrow(OptionError);
    expect(config.vision_feature_layer).toBe(-2);
    expect(() => config.update({ text_config: null, image_seq_length: -1 })).toThrow(/image_seq_length/);
    for (const name of ["to_dict", "model_type", "constructor"]) {
      expect(() => config.update({ [name]: 1 })).toThrow(OptionError);
    }
  });

  test("a field that is not known throws by name, in parts too; files' are kept", () => {
    expect(() => new LlamaConfig({ hiden_size: 64 })).toThrow(/hiden_size.*'hidden_size'/);
    expect(() => new LlavaConfig({ text_config: { hiden_size: 64 } })).toThrow(/text_config\.hiden_size/);
    expect(LlavaConfig.from_dict({ text_config: { hiden_size: 64 } }).text_config.to_dict().hiden_size).toBe(
      64,
    );
    const legacy = {
      torch_dtype: "float16",
      rope_theta: 5,
      num_labels: 3,
      ignore_index: -100,
      max_length: 4,
    };
    expect(new LlamaConfig(legacy).to_dict()).toMatchObject({ dtype: "float16", ignore_index: -100 });
    expect(() => LlamaConfig.from_dict({ per_layer_config: { 0: {} } })).toThrow(UnsupportedError);
  });

  test("the text part is found; the tower has none", () => {
    const config = new LlavaConfig();
    expect(config.get_text_config()).toBe(config.text_config);
    expect(config.get_text_config({ decoder: true })).toBe(config.text_config);
    expect(config.get_text_config({ encoder: true })).toBe(config);
    expect(config.vision_config.get_text_config()).toBe(config.vision_config);
  });

  test("the caller's objects stay as they were, and stay apart", () => {
    const given = { rope_scaling: { type: "linear", factor: 2 }, extra: { a: [1] } };
    const config = LlamaConfig.from_dict(given);
    config.rope_parameters.factor = 9;
    (config.to_dict().extra as { a: number[] }).a.push(2);
    expect(given).toEqual({ rope_scaling: { type: "linear", factor: 2 }, extra: { a: [1] } });
    expect(config.to_dict().extra).toEqual({ a: [1] });
  });

  test("a config can be the part of another", () => {
    const text_config = new LlamaConfig({ hidden_size: 64, num_attention_heads: 4 });
    expect(new LlavaConfig({ text_config }).text_config).toBe(text_config);
  });
});

describe("overrides", () => {
  test("win over the JSON, and reach into parts", () => {
    const config = LlavaConfig.from_dict(
      { text_config: { hidden_size: 64, num_attention_heads: 4, vocab_size: 99 }, torch_dtype: "float16" },
      { dtype: "bfloat16", vision_feature_layer: -1, text_config: { vocab_size: 100 } },
    );
    expect(config.dtype).toBe("bfloat16");
    expect(config.vision_feature_layer).toBe(-1);
    expect([config.text_config.vocab_size, config.text_config.hidden_size]).toEqual([100, 64]);
  });

  test("that are no field throw and name the nearest", () => {
    expect(() => LlavaConfig.from_dict({}, { vision_feature_layr: -1 })).toThrow(/vision_feature_layer/);
  });
});

describe("files", () => {
  const folder = (): string => temporaryFolder("config");
  const small = { text_config: { hidden_size: 64, num_attention_heads: 4 }, ignore_index: -100 };

  test("save, load, and find the class", async () => {
    const dir = join(folder(), "deep", "er");
    const config = LlavaConfig.from_dict({ ...small, _name_or_path: "before" });
    await config.save_pretrained(dir);
    expect(readFileSync(join(dir, "config.json"), "utf8")).toBe(config.to_json_string());
    for (const loaded of [
      await LlavaConfig.from_pretrained(dir),
      await AutoConfig.from_pretrained(dir),
      await LlavaConfig.from_pretrained(join(dir, "config.json")),
    ]) {
      expect(loaded).toBeInstanceOf(LlavaConfig);
      expect(loaded.to_diff_dict()).toEqual(config.to_diff_dict());
      expect(loaded.name_or_path).toContain(dir);
    }
  });

  test("the part of a larger config", async () => {
    const dir = folder();
    await LlavaConfig.from_dict(small).save_pretrained(dir);
    expect((await LlamaConfig.from_pretrained(dir)).hidden_size).toBe(64);
    expect((await CLIPVisionConfig.from_pretrained(dir)).image_size).toBe(336);
  });

  test("a fault is the file's, by field", async () => {
    const dir = folder();
    writeFileSync(
      join(dir, "config.json"),
      JSON.stringify({ model_type: "llava", text_config: { hidden_size: "x" } }),
    );
    const error = await LlavaConfig.from_pretrained(dir).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as CheckpointError).message).toContain(
      "config.json: text_config.hidden_size: expected an integer",
    );
    expect((error as CheckpointError).file).toBe("config.json");
  });

  test("not a config: broken JSON, a list, no model type, another one", async () => {
    const dir = folder();
    const contents = ["{", "[]", "{}", '{"model_type": "gpt9"}'];
    for (const text of contents) {
      writeFileSync(join(dir, "config.json"), text);
      const error = await AutoConfig.from_pretrained(dir).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(CheckpointError);
      expect((error as CheckpointError).message).toContain("config.json");
    }
  });

  test("unknown options throw, or are given back", async () => {
    const dir = folder();
    await LlavaConfig.from_dict(small).save_pretrained(dir);
    await expect(LlavaConfig.from_pretrained(dir, { image_token_idx: 3 })).rejects.toThrow(OptionError);
    const options = { image_token_id: 5, foo: 1, return_unused_kwargs: true } as const;
    const [config, unused] = await LlavaConfig.from_pretrained(dir, options);
    expect([config.image_token_index, unused]).toEqual([5, { foo: 1 }]);
  });

  test("generation settings on the config are not saved", async () => {
    const config: PreTrainedConfig = new LlavaConfig();
    Object.assign(config, { temperature: 0.3 });
    await expect(config.save_pretrained(folder())).rejects.toThrow(/temperature/);
  });

  test("numbers that JSON cannot hold are read", async () => {
    const dir = folder();
    writeFileSync(join(dir, "c.json"), '{"limit": {"__float__": "-Infinity"}}');
    const config = await LlamaConfig.from_json_file(join(dir, "c.json"));
    expect(config.to_dict().limit).toBe(Number.NEGATIVE_INFINITY);
    expect(config.to_json_string()).toContain('"__float__": "-Infinity"');
  });
});
