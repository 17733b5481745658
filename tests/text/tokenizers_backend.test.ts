import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { env } from "../../src/base/env.ts";
import {
  CheckpointError,
  LlavaError,
  OptionError,
  ShapeError,
  UnsupportedError,
} from "../../src/base/errors.ts";
import { AutoTokenizer } from "../../src/models/auto/tokenization_auto.ts";
import { LlamaTokenizer } from "../../src/models/llama/tokenization_llama.ts";
import type { TokenizerCallOptions } from "../../src/models/tokenization/options.ts";
import { TokenizersBackend } from "../../src/models/tokenization_utils_tokenizers.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { readJson, repositoryPath } from "./support.ts";

type Outcome = { result?: unknown; error?: string };
type Named = { name: string; options: Record<string, unknown> } & Outcome;

interface Described {
  class: string;
  attributes: Record<string, unknown>;
  added: Record<string, unknown>;
  get_added_vocab: unknown;
  vocab_total: number;
  num_special_tokens_to_add: [number, number];
  tokenize: [string[], string[]];
  encode: [number[], number[], number[]];
  convert: [unknown, unknown, unknown];
  to_string: string;
  decode: [string, string, string[], string[], string, string];
  mask: number[];
  pad: Outcome[];
}

interface Recorded {
  describe: Described;
  calls: (Named & { text: unknown })[];
  chats: (Named & { conversation: unknown })[];
}

interface Fixture {
  legacy: Recorded;
  v5: Recorded;
  "llava-demo": Recorded;
  "added later": Record<"steps" | "ids" | "padded" | "specials" | "skipped" | "pair", unknown>;
  "with settings": Described;
  "LlamaTokenizer, legacy False": LlamaRecord;
  "LlamaTokenizer, legacy True": LlamaRecord;
}

interface LlamaRecord {
  class: string;
  padding_side: string;
  texts: string[];
  ids: number[][];
  decoded: string[];
}

const fixture = readJson<Fixture>("tests/fixtures/text/tokenizer_calls.json");
const CHAT =
  "{{ bos_token }}{% for m in messages %}{{ m.role | upper }}: {% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}" +
  "{% else %}{{ m.content }}{% endif %}\n{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}";

const checkpoint = (name: string) => repositoryPath(`tests/fixtures/text/checkpoints/${name}`);
const TOKENIZERS = {
  legacy: await AutoTokenizer.from_pretrained(checkpoint("legacy")),
  v5: await AutoTokenizer.from_pretrained(checkpoint("v5")),
  "llava-demo": await AutoTokenizer.from_pretrained("llava-demo", { chat_template: CHAT }),
};

const logger = env.logger;
let folder: string;
beforeAll(async () => {
  env.logger = () => {};
  folder = await mkdtemp(join(tmpdir(), "tokenizer-"));
});
afterAll(async () => {
  env.logger = logger;
  await rm(folder, { recursive: true });
});

/** Runs `run`; where Python failed, ours must fail with an error of ours. */
function compare({ result, error }: Outcome, run: () => unknown): void {
  if (error === undefined) expect(plain(run())).toEqual(result);
  else expect(run).toThrow(LlavaError);
}

/** Without what JSON does not have. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function expectDescribed(tokenizer: TokenizersBackend, expected: Described): void {
  const own = tokenizer as unknown as Record<string, unknown>;
  expect((tokenizer.constructor as typeof TokenizersBackend).tokenizer_class).toBe(expected.class);
  for (const [name, value] of Object.entries(expected.attributes)) expect(own[name], name).toEqual(value);
  expect(tokenizer.added_tokens_decoder).toEqual(expected.added);
  expect(tokenizer.get_added_vocab()).toEqual(expected.get_added_vocab);
  expect(Object.keys(tokenizer.get_vocab()).length).toBe(expected.vocab_total);
  expect([
    tokenizer.num_special_tokens_to_add(),
    tokenizer.num_special_tokens_to_add({ pair: true }),
  ]).toEqual(expected.num_special_tokens_to_add);
  expect([
    tokenizer.tokenize("a dog <image>x"),
    tokenizer.tokenize("a", { pair: "b", add_special_tokens: true }),
  ]).toEqual(expected.tokenize);
  expect([
    tokenizer.encode("a dog"),
    tokenizer.encode("a dog", { add_special_tokens: false }),
    tokenizer.encode("a dog and a cat", { truncation: true, max_length: 3 }),
  ]).toEqual(expected.encode);
  expect([
    tokenizer.convert_tokens_to_ids(["\u2581a", "\u0120a", "nope", "<image>"]),
    tokenizer.convert_ids_to_tokens([0, 1, 2, 300, 99999]),
    tokenizer.convert_ids_to_tokens(tokenizer.encode("a <image>"), { skip_special_tokens: true }),
  ]).toEqual(expected.convert);
  expect(tokenizer.convert_tokens_to_string(tokenizer.tokenize("a dog  and é"))).toBe(expected.to_string);
  expect([
    tokenizer.decode(tokenizer.encode("They 're here . <image> x")),
    tokenizer.decode(tokenizer.encode("a <image> dog"), { skip_special_tokens: true }),
    tokenizer.decode([[300, 301], [302]]),
    tokenizer.batch_decode([300, 301]),
    tokenizer.decode(300),
    tokenizer.decode([]),
  ]).toEqual(expected.decode);
  const ids = tokenizer.encode("a <image> b");
  expect(tokenizer.get_special_tokens_mask(ids, { already_has_special_tokens: true })).toEqual(expected.mask);
  const pads: [object, object][] = [
    [{ input_ids: [[5, 6, 7], [8]] }, {}],
    [
      {
        input_ids: [[5, 6, 7], [8]],
        attention_mask: [[1, 1, 0], [1]],
        token_type_ids: [[0, 1, 1], [1]],
      },
      { padding: "max_length", max_length: 5 },
    ],
    [[{ input_ids: [5, 6] }, { input_ids: [7] }], { padding_side: "right", pad_to_multiple_of: 4 }],
    [{ input_ids: [5, 6] }, { padding: false }],
    [{ labels: [[1]] }, {}],
  ];
  for (const [i, [given, options]] of pads.entries()) {
    compare(expected.pad[i], () => tokenizer.pad(given, { ...options, return_tensors: null }));
  }
}

describe.each(Object.keys(TOKENIZERS) as (keyof typeof TOKENIZERS)[])("%s", (name) => {
  const tokenizer = TOKENIZERS[name];
  const recorded = fixture[name];

  it("is read as Transformers reads it", () => {
    expectDescribed(tokenizer, recorded.describe);
  });

  it.each(recorded.calls)("call: $name", ({ text, options, ...expected }) => {
    compare(expected, () =>
      tokenizer(text as string, { ...(options as TokenizerCallOptions), return_tensors: null }),
    );
  });

  // A variable that the template does not read is an error here: nothing is taken and ignored.
  const chats = recorded.chats.filter((chat) => chat.name !== "named" || name === "v5");
  it.each(chats)("chat: $name", ({ conversation, options, ...expected }) => {
    compare(expected, () =>
      tokenizer.apply_chat_template(conversation as [], { ...options, return_tensors: null }),
    );
  });

  it("comes back the same after it was saved", async () => {
    const saved = await tokenizer.save_pretrained(join(folder, name));
    expect(saved.map((path) => path.slice(join(folder, name).length + 1)).sort()).toEqual(
      name === "llava-demo"
        ? ["chat_template.jinja", "tokenizer.json", "tokenizer_config.json"]
        : [
            name === "v5"
              ? "additional_chat_templates/short.jinja"
              : "additional_chat_templates/tool_use.jinja",
            "chat_template.jinja",
            "tokenizer.json",
            "tokenizer_config.json",
          ],
    );
    const again = await TokenizersBackend.from_pretrained(join(folder, name));
    expectDescribed(again, recorded.describe);
    expect(again.chat_template).toEqual(tokenizer.chat_template);
    for (const { text, options, error } of recorded.calls) {
      if (error !== undefined) continue;
      const run = (one: TokenizersBackend) =>
        plain(one(text as string, { ...(options as TokenizerCallOptions), return_tensors: null }));
      expect(run(again)).toEqual(run(tokenizer));
    }
  });
});

describe("TokenizersBackend", () => {
  const demo = TOKENIZERS["llava-demo"];

  it("takes tokens that are added later", async () => {
    const tokenizer = await AutoTokenizer.from_pretrained("llava-demo");
    const expected = fixture["added later"];
    const steps = [
      tokenizer.add_tokens(["dog", "brandnew"]),
      tokenizer.add_tokens("brandnew"),
      tokenizer.add_special_tokens({ sep_token: "<sep>", extra_special_tokens: ["<x>", "<y>"] }),
      tokenizer.add_special_tokens(
        { extra_special_tokens: ["<z>", "<x>"] },
        { replace_extra_special_tokens: false },
      ),
    ];
    expect(steps).toEqual(expected.steps);
    tokenizer.pad_token = "<y>";
    tokenizer.add_eos_token = true;
    expect(tokenizer("a dog brandnew <sep><z> x</s>", { return_tensors: null }).input_ids).toEqual(
      expected.ids,
    );
    expect(tokenizer(["a", "a dog"], { padding: true, return_tensors: null }).input_ids).toEqual(
      expected.padded,
    );
    expect(tokenizer.all_special_tokens).toEqual(expected.specials);
    expect(tokenizer.decode(tokenizer.encode("a dog <z><sep>b"), { skip_special_tokens: true })).toBe(
      expected.skipped,
    );
    expect(tokenizer("a", { text_pair: "b", return_tensors: null }).input_ids).toEqual(expected.pair);
    await tokenizer.save_pretrained(join(folder, "later"));
    const again = await AutoTokenizer.from_pretrained(join(folder, "later"));
    expect(again("a dog brandnew <sep><z> x</s>", { return_tensors: null }).input_ids).toEqual(expected.ids);
  });

  it("lets settings go before the files", async () => {
    const tokenizer = await AutoTokenizer.from_pretrained("llava-demo", {
      padding_side: "right",
      pad_token: "</s>",
      add_eos_token: true,
      model_max_length: 7,
      extra_special_tokens: ["<k>"],
    });
    expectDescribed(tokenizer, fixture["with settings"]);
  });

  it.each([false, true])("rebuilds Llama's pipeline (legacy %s)", async (legacy) => {
    const expected = fixture[legacy ? "LlamaTokenizer, legacy True" : "LlamaTokenizer, legacy False"];
    const tokenizer = await LlamaTokenizer.from_pretrained("llava-demo", { legacy });
    expect(tokenizer.padding_side).toBe(expected.padding_side);
    expect(expected.texts.map((text) => tokenizer.encode(text))).toEqual(expected.ids);
    expect(expected.ids.map((ids) => tokenizer.decode(ids))).toEqual(expected.decoded);
  });

  it("takes LlamaTokenizer only where no config.json says llava", async () => {
    const source = repositoryPath("checkpoints/llava-demo");
    const target = join(folder, "without config");
    for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
      await cp(join(source, file), join(target, file));
    }
    expect(await AutoTokenizer.from_pretrained(target)).toBeInstanceOf(LlamaTokenizer);
    await cp(join(source, "config.json"), join(target, "config.json"));
    expect(await AutoTokenizer.from_pretrained(target)).not.toBeInstanceOf(LlamaTokenizer);
  });

  it("gives int32 tensors unless told otherwise", () => {
    const encoded = demo(["a dog", "two cats"], { padding: true, return_offsets_mapping: true });
    expect(encoded.input_ids).toBeInstanceOf(Tensor);
    expect(encoded.input_ids.dtype).toBe("int32");
    expect(encoded.input_ids.shape).toEqual(encoded.attention_mask.shape);
    expect(encoded.offset_mapping?.shape).toEqual([...encoded.input_ids.shape, 2]);
    expect(demo("a").input_ids.shape).toEqual([1, 2]);
    expect(Object.keys(encoded).sort()).toEqual(["attention_mask", "input_ids", "offset_mapping"]);
    expect(demo.decode(demo("a dog").input_ids)).toEqual(["<s> a dog"]);
  });

  it("names padding where rows are ragged", () => {
    expect(() => demo(["a dog", "a"])).toThrow(ShapeError);
    expect(() => demo(["a dog", "a"])).toThrow(/padding/);
  });

  it("knows which token a character lies in", () => {
    const encoded = demo("é😀 dog", { text_pair: "cat" });
    expect(encoded.tokens()).toEqual(demo.tokenize("é😀 dog", { pair: "cat", add_special_tokens: true }));
    const dog = encoded.char_to_token(0, 4) as number;
    expect(encoded.tokens()[dog]).toContain("dog");
    expect(encoded.token_to_chars(dog)).toEqual({ start: 2, end: 6 });
    expect(encoded.token_to_chars(0)).toBeNull();
    expect(encoded.char_to_token(0, 99)).toBeNull();
    expect(encoded.n_sequences).toBe(2);
    expect(() => encoded.tokens(1)).toThrow(OptionError);
  });

  it("encodes one more message", () => {
    const history = [{ role: "user", content: "a dog" }];
    const message = { role: "assistant", content: "two cats" };
    const ids = demo.encode_message_with_chat_template(message, { conversation_history: history });
    const whole = demo.apply_chat_template([...history, message], {
      return_dict: false,
      return_tensors: null,
    });
    expect(whole.slice(whole.length - ids.length)).toEqual(ids);
    expect(demo.decode(ids)).toContain("ASSISTANT");
  });

  it.each([
    ["call", () => demo("a", { paddin: true } as object), /padding/],
    ["decode", () => demo.decode([1], { skip_special_token: true } as object), /skip_special_tokens/],
    ["decode of text", () => demo.decode("a" as unknown as number[]), /token_ids|ids/],
    [
      "chat",
      () => demo.apply_chat_template([{ role: "user", content: "" }], { add_generation: true }),
      /add_generation_prompt/,
    ],
    ["pad", () => demo.pad({ input_ids: [1] }, { side: "left" } as object), /side/],
    [
      "no padding token",
      () => Object.assign(newDemo(), { pad_token: null })(["a", "b c"], { padding: true }),
      /pad_token/,
    ],
  ])("refuses what it does not know: %s", (_, run, message) => {
    expect(run).toThrow(OptionError);
    expect(run).toThrow(message);
  });

  function newDemo(): TokenizersBackend {
    return new TokenizersBackend({ tokenizer_object: demo.backend_tokenizer });
  }

  it("refuses options of from_pretrained that it does not know or have", async () => {
    await expect(
      AutoTokenizer.from_pretrained("llava-demo", { pading_side: "left" } as object),
    ).rejects.toThrow(/padding_side/);
    await expect(AutoTokenizer.from_pretrained("llava-demo", { legacy: true })).rejects.toThrow(OptionError);
    await expect(AutoTokenizer.from_pretrained("llava-demo", { use_fast: false } as object)).rejects.toThrow(
      UnsupportedError,
    );
    await expect(
      AutoTokenizer.from_pretrained("llava-demo", { padding_side: "up" } as object),
    ).rejects.toThrow(OptionError);
  });

  it("names the file that is missing or damaged", async () => {
    const target = join(folder, "damaged");
    await cp(checkpoint("v5"), target, { recursive: true });
    const config = JSON.parse(await readFile(join(target, "tokenizer_config.json"), "utf8"));
    await writeFile(join(target, "tokenizer_config.json"), JSON.stringify({ ...config, padding_side: "up" }));
    const damaged = AutoTokenizer.from_pretrained(target);
    await expect(damaged).rejects.toThrow(CheckpointError);
    await expect(damaged).rejects.toMatchObject({ file: "tokenizer_config.json" });
    await rm(join(target, "tokenizer.json"));
    await expect(AutoTokenizer.from_pretrained(target)).rejects.toThrow(/no tokenizer\.json/);
  });

  it("does not write outside of its folder", async () => {
    const tokenizer = newDemo();
    tokenizer.chat_template = { "../evil": "x" };
    await expect(tokenizer.save_pretrained(join(folder, "evil"))).rejects.toThrow(OptionError);
  });
});
