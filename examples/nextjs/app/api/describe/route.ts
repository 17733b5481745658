/**
 * A route handler as Next.js takes it (app/api/describe/route.ts), or anything else that makes a Response of a Request.
 * The answer is streamed as plain text. In next.config.js: serverExternalPackages: ["llava"].
 *
 *   const body = new FormData();
 *   body.set("image", file);
 *   body.set("prompt", "What is shown in this image?");
 *   const response = await fetch("/api/describe", { method: "POST", body });
 */
import {
  AutoProcessor,
  ImageError,
  LlavaForConditionalGeneration,
  load_image,
  TextIteratorStreamer,
} from "llava";

export const runtime = "nodejs";

const name = process.env.LLAVA_MODEL ?? "llava-demo";
const loaded = Promise.all([
  LlavaForConditionalGeneration.from_pretrained(name),
  AutoProcessor.from_pretrained(name),
]);
// A failure is told to whoever asks.
loaded.catch(() => {});

export async function POST(request: Request): Promise<Response> {
  const form = await request.formData().catch(() => new FormData());
  const [file, prompt] = [form.get("image"), form.get("prompt") ?? "Describe this picture."];
  if (!(file instanceof File) || typeof prompt !== "string") {
    return Response.json(
      { error: "expected a form with image (a file) and prompt (a text)" },
      { status: 400 },
    );
  }
  try {
    return new Response(await answer(file, prompt, request.signal), {
      headers: { "Content-Type": "text/plain; charset=utf-8" },
    });
  } catch (error) {
    if (error instanceof ImageError) return Response.json({ error: error.message }, { status: 400 });
    throw error;
  }
}

async function answer(file: File, prompt: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
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
  const streamer = new TextIteratorStreamer(processor.tokenizer, {
    skip_prompt: true,
    skip_special_tokens: true,
  });
  const gone = new AbortController();
  const done = model.generate({
    ...inputs,
    max_new_tokens: 200,
    streamer,
    signal: AbortSignal.any([signal, gone.signal]),
  });
  const encoder = new TextEncoder();
  return new ReadableStream({
    async start(controller) {
      try {
        for await (const text of streamer) controller.enqueue(encoder.encode(text));
        await done;
        controller.close();
      } catch (error) {
        controller.error(error);
      }
    },
    cancel: () => gone.abort(),
  });
}
