import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { AutoProcessor, LlavaForConditionalGeneration, load_image } from "../../src/index.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { readTensors } from "../models/expected.ts";

const PICTURES = new URL("../../checkpoints/llava-demo/pictures/", import.meta.url);

/** What Transformers 5.23 answered (float32, greedy) with the bundled checkpoint. */
const { pictures } = JSON.parse(await readFile(new URL("pictures.json", PICTURES), "utf8")) as {
  pictures: { file: string; conversations: { question: string; answer: string }[][] }[];
};

/** How many of the first questions about each picture are answered as in float32, and bytes of the weights. */
async function measure(dtype: "q8" | "q4"): Promise<{ same: number; bytesPerWeight: number }> {
  const processor = await AutoProcessor.from_pretrained("llava-demo");
  const model = await LlavaForConditionalGeneration.from_pretrained("llava-demo", { dtype });
  expect(model.dtype).toBe(dtype);
  const bytesPerWeight = model.deviceBytes / model.num_parameters();
  expect(model.get_memory_footprint()).toBe(model.deviceBytes);
  let same = 0;
  for (const { file, conversations } of pictures) {
    const [{ question, answer }] = conversations[0];
    const image = { type: "image" as const, path: fileURLToPath(new URL(file, PICTURES)) };
    const content = [image, { type: "text" as const, text: question }];
    const inputs = await processor.apply_chat_template([{ role: "user", content }], {
      add_generation_prompt: true,
      tokenize: true,
      return_dict: true,
    });
    const ids = await model.generate({ ...inputs, max_new_tokens: 100, do_sample: false });
    const answered = Array.from(ids.data, Number).slice(inputs.input_ids.data.length);
    if (processor.decode(answered, { skip_special_tokens: true }).trim() === answer) same++;
  }
  await model.dispose();
  return { same, bytesPerWeight };
}

test("q8 answers the first question about every picture as float32 does", { timeout: 60_000 }, async () => {
  const { same, bytesPerWeight } = await measure("q8");
  expect(same).toBe(pictures.length);
  // 8.5 bits; what stays in 16, three of the tower's six layers among it, is a quarter of this small model.
  expect(bytesPerWeight).toBeLessThan(1.3);
});

test("q4 answers nearly all of them", { timeout: 60_000 }, async () => {
  const { same, bytesPerWeight } = await measure("q4");
  expect(same).toBeGreaterThanOrEqual(pictures.length - 1);
  // 4.5 bits; tower, embeddings, head and projector, more than half of this small model, take 8.5 or 16.
  expect(bytesPerWeight).toBeLessThan(1.1);
});

/** What scripts/fixtures/tower_features.py recorded. */
const FEATURES = new URL("../fixtures/demo/", import.meta.url);
interface Recorded {
  pictures: string[];
  bfloat16: { tower: number; projected: number };
}

test.each(["q8", "q4"] as const)(
  "%s features are as exact as those of PyTorch in bfloat16",
  async (dtype) => {
    const recorded = JSON.parse(await readFile(new URL("features.json", FEATURES), "utf8")) as Recorded;
    const expected = await readTensors(fileURLToPath(new URL("features.safetensors", FEATURES)));
    const processor = await AutoProcessor.from_pretrained("llava-demo");
    const model = await LlavaForConditionalGeneration.from_pretrained("llava-demo", { dtype });
    const images = await Promise.all(
      recorded.pictures.map((name) => load_image(fileURLToPath(new URL(name, PICTURES)))),
    );
    const { pixel_values } = await processor.image_processor(images);
    const { hidden_states, pooler_output } = await model.get_image_features({
      pixel_values,
      output_hidden_states: true,
    });
    const tower = hidden_states?.at(-2) as Tensor;
    const [, rows, width] = tower.shape;
    const pictures = images.map((_, i) => tower.data.subarray(i * rows * width, (i + 1) * rows * width));
    // The class token comes first.
    expect(errorOf(recordedRows(pictures, 1, width), expected.get("tower"))).toBeLessThan(
      recorded.bfloat16.tower,
    );
    const projected = recordedRows(
      pooler_output.map(({ data }) => data),
      0,
      pooler_output[0].shape[1],
    );
    expect(errorOf(projected, expected.get("projected"))).toBeLessThan(recorded.bfloat16.projected);
    await model.dispose();
  },
);

/** The recorded rows of pictures: every eleventh, from `first` on. */
function recordedRows(pictures: readonly Tensor["data"][], first: number, width: number): number[] {
  return pictures.flatMap((data) =>
    Array.from(data, Number).filter(
      (_, i) => i >= first * width && (Math.floor(i / width) - first) % 11 === 0,
    ),
  );
}

/** Root of the summed squared differences over that of the squares. */
function errorOf(numbers: readonly number[], expected: Tensor | undefined): number {
  const exact = Array.from(expected?.data ?? [], Number);
  expect(numbers.length).toBe(exact.length);
  const sum = (of: (i: number) => number): number => exact.reduce((total, _, i) => total + of(i) ** 2, 0);
  return Math.sqrt(sum((i) => numbers[i] - exact[i]) / sum((i) => exact[i]));
}

test("packed weights are not saved", async () => {
  const model = await LlavaForConditionalGeneration.from_pretrained("llava-demo", { dtype: "q4" });
  await expect(model.save_pretrained("never-written")).rejects.toThrow(/dtype "q4" cannot be saved/);
  await model.dispose();
});
