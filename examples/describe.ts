/**
 * One picture, one question, one answer: the example of Transformers' LLaVA page.
 *
 *   node --import ./scripts/typescript.mjs examples/describe.ts [PICTURE] [QUESTION]
 */
import { AutoProcessor, LlavaForConditionalGeneration } from "llava";

const [path = "checkpoints/llava-demo/pictures/garden.jpg", question = "What is shown in this image?"] =
  process.argv.slice(2);
const name = process.env.LLAVA_MODEL ?? "llava-demo";

const model = await LlavaForConditionalGeneration.from_pretrained(name, { dtype: "auto" });
const processor = await AutoProcessor.from_pretrained(name);

const conversation = [
  {
    role: "user",
    content: [
      { type: "image", path },
      { type: "text", text: question },
    ],
  },
];
const inputs = await processor.apply_chat_template(conversation, {
  add_generation_prompt: true,
  tokenize: true,
  return_dict: true,
  return_tensors: "pt",
});
const generate_ids = await model.generate({ ...inputs, max_new_tokens: 30 });
console.log(processor.batch_decode(generate_ids, { skip_special_tokens: true }));
await model.dispose();
