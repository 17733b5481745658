/**
 * Words appear in the terminal as they are found; Ctrl-C stops the answer.
 *
 *   node --import ./scripts/typescript.mjs examples/stream.ts [PICTURE] [QUESTION]
 */
import { AutoProcessor, LlavaForConditionalGeneration, TextIteratorStreamer } from "llava";

const [path = "checkpoints/llava-demo/pictures/garden.jpg", question = "Describe this picture."] =
  process.argv.slice(2);
const name = process.env.LLAVA_MODEL ?? "llava-demo";

const model = await LlavaForConditionalGeneration.from_pretrained(name);
const processor = await AutoProcessor.from_pretrained(name);
const content = [
  { type: "image", path },
  { type: "text", text: question },
];
const inputs = await processor.apply_chat_template([{ role: "user", content }], {
  add_generation_prompt: true,
  tokenize: true,
  return_dict: true,
});

const stop = new AbortController();
process.once("SIGINT", () => stop.abort());
const streamer = new TextIteratorStreamer(processor.tokenizer, {
  skip_prompt: true,
  skip_special_tokens: true,
});
const done = model.generate({ ...inputs, max_new_tokens: 200, streamer, signal: stop.signal });
// A failure ends the stream, too; it is told where `done` is awaited.
done.catch(() => {});
for await (const text of streamer) process.stdout.write(text);
process.stdout.write("\n");
await done.catch((error: unknown) => {
  if (!stop.signal.aborted) throw error;
});
await model.dispose();
