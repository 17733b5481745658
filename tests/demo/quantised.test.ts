import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { AutoProcessor, LlavaForConditionalGeneration } from "../../src/index.ts";

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
  // 8.5 bits, and a few matrices that stay in 16.
  expect(bytesPerWeight).toBeLessThan(1.1);
});

test("q4 answers nearly all of them", { timeout: 60_000 }, async () => {
  const { same, bytesPerWeight } = await measure("q4");
  expect(same).toBeGreaterThanOrEqual(pictures.length - 1);
  // 4.5 bits; tower, embeddings, head and projector, more than half of this small model, take 8.5.
  expect(bytesPerWeight).toBeLessThan(0.9);
});

test("packed weights are not saved", async () => {
  const model = await LlavaForConditionalGeneration.from_pretrained("llava-demo", { dtype: "q4" });
  await expect(model.save_pretrained("never-written")).rejects.toThrow(/dtype "q4" cannot be saved/);
  await model.dispose();
});
