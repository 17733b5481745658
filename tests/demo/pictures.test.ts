import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AutoProcessor, LlavaForConditionalGeneration, load_image, type RawImage } from "../../src/index.ts";

const PICTURES = new URL("../../checkpoints/llava-demo/pictures/", import.meta.url);

/** What Transformers 5.23 answered (float32, greedy) with the bundled checkpoint. */
interface Answers {
  pictures: { file: string; conversations: Turn[][] }[];
  pairs: { files: string[]; conversations: Turn[][] }[];
}

interface Turn {
  question: string;
  answer: string;
}

const recorded = JSON.parse(await readFile(new URL("pictures.json", PICTURES), "utf8")) as Answers;
const sets = [
  ...recorded.pictures.map(({ file, conversations }) => ({ files: [file], conversations })),
  ...recorded.pairs,
];

let model: LlavaForConditionalGeneration;
let processor: Awaited<ReturnType<typeof AutoProcessor.from_pretrained>>;
beforeAll(async () => {
  model = await LlavaForConditionalGeneration.from_pretrained("llava-demo");
  processor = await AutoProcessor.from_pretrained("llava-demo");
});
afterAll(() => model.dispose());

test("the recorded set is whole", () => {
  expect(recorded.pictures.length).toBe(9);
  expect(sets.flatMap(({ conversations }) => conversations).flat().length).toBeGreaterThan(60);
});

test.each(sets)(
  "$files: every answer word for word",
  { timeout: 120_000 },
  async ({ files, conversations }) => {
    const images = await Promise.all(files.map((file) => load_image(fileURLToPath(new URL(file, PICTURES)))));
    const { pixel_values } = await processor.image_processor(images);
    const image = await model.get_image_features({ pixel_values });
    for (const turns of conversations) {
      // The last question of a conversation, after the answers that were recorded for those before it.
      const { input_ids, attention_mask } = await processor.apply_chat_template(messages(turns, images), {
        add_generation_prompt: true,
        tokenize: true,
        return_dict: true,
      });
      const out = await model.generate({
        input_ids,
        attention_mask,
        mm_encoder_outputs: { image },
        max_new_tokens: 100,
        do_sample: false,
      });
      const text = processor.decode(Array.from(out.data, Number).slice(input_ids.data.length), {
        skip_special_tokens: true,
      });
      expect(text).toBe(turns[turns.length - 1].answer);
    }
  },
);

function messages(turns: Turn[], images: RawImage[]) {
  return turns.flatMap(({ question, answer }, i) => {
    const pictures = i === 0 ? images.map((image) => ({ type: "image" as const, image })) : [];
    const user = { role: "user", content: [...pictures, { type: "text" as const, text: question }] };
    const assistant = { role: "assistant", content: [{ type: "text" as const, text: answer }] };
    return i === turns.length - 1 ? [user] : [user, assistant];
  });
}
