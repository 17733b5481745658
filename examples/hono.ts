/**
 * A route that answers questions about an uploaded picture, for hono.
 * `llava serve` is a whole server; this is for a route of your own.
 *
 *   node --import ./scripts/typescript.mjs examples/hono.ts
 *   curl -F image=@checkpoints/llava-demo/pictures/snow.jpg -F prompt="What is shown in this image?" localhost:3000/describe
 */
import { pathToFileURL } from "node:url";
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { AutoProcessor, ImageError, LlavaForConditionalGeneration, load_image } from "llava";

const name = process.env.LLAVA_MODEL ?? "llava-demo";
// Loaded once; questions that come at the same time are computed together.
const loaded = Promise.all([
  LlavaForConditionalGeneration.from_pretrained(name),
  AutoProcessor.from_pretrained(name),
]);

export const app = new Hono();

app.post("/describe", bodyLimit({ maxSize: 20 * 2 ** 20 }), async (context) => {
  const { image: file, prompt = "Describe this picture." } = await context.req.parseBody();
  if (!(file instanceof File) || typeof prompt !== "string") {
    return context.json({ error: "expected a form with image (a file) and prompt (a text)" }, 400);
  }
  try {
    const image = await load_image(file);
    const [model, processor] = await loaded;
    const content = [
      { type: "image", image },
      { type: "text", text: prompt },
    ];
    const inputs = await processor.apply_chat_template([{ role: "user", content }], {
      add_generation_prompt: true,
      tokenize: true,
      return_dict: true,
    });
    const { signal } = context.req.raw;
    const ids = await model.generate({ ...inputs, max_new_tokens: 200, signal });
    const answer = Array.from(ids.data, Number).slice(inputs.input_ids.shape[1]);
    return context.json({ answer: processor.decode(answer, { skip_special_tokens: true }) });
  } catch (error) {
    if (error instanceof ImageError) return context.json({ error: error.message }, 400);
    throw error;
  }
});

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  serve({ fetch: app.fetch, port: 3000 }, ({ port }) => console.log(`http://localhost:${port}/describe`));
}
