// Does the event loop stay free, and does a signal end a call soon? A model of random weights answers prompts with a picture
// while a timer of one millisecond runs; then calls are aborted at different moments.
//
//   node --import ./scripts/typescript.mjs bench/event_loop.ts [shape] [dtype] [prompt tokens]
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as after } from "node:timers/promises";
import type { KeptDType } from "../src/api/weight_storage.ts";
import { LlavaForConditionalGeneration, Tensor } from "../src/index.ts";

const [shape = "llava-1.1b", dtype = "q4", tokens = "600"] = process.argv.slice(2);
const model = await LlavaForConditionalGeneration.random(shape, { dtype: dtype as KeptDType });
const { image_token_id, vision_config } = model.config;
const size = Number(vision_config.image_size);
const pictureTokens = Math.floor(size / Number(vision_config.patch_size)) ** 2;
const words = Array.from({ length: Number(tokens) - pictureTokens - 1 }, (_, i) => 5 + ((i * 7919) % 30000));
const input_ids = [[1, ...Array<number>(pictureTokens).fill(image_token_id), ...words]];
const pixels = new Float32Array(3 * size * size).map((_, i) => Math.sin(i * 0.7));
const pixel_values = new Tensor("float32", [1, 3, size, size], pixels);
const ask = (max_new_tokens: number, signal?: AbortSignal) =>
  model.generate({ input_ids, pixel_values, max_new_tokens, signal });

await ask(4);
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
const begun = performance.now();
await ask(64);
delay.disable();
const ms = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - 1).toFixed(2);
console.log(`${tokens} tokens and 64 more in ${((performance.now() - begun) / 1000).toFixed(2)} s`);
for (const p of [50, 90, 99, 99.9, 100]) console.log(`timer late, p${p}: ${ms(delay.percentile(p))} ms`);

for (const wait of [50, 200, 500, 1000, 2000, 3000]) {
  const controller = new AbortController();
  const call = ask(64, controller.signal).then(
    () => "it had ended",
    (error: Error) => error.name,
  );
  await after(wait);
  const asked = performance.now();
  controller.abort();
  const outcome = await call;
  console.log(`aborted after ${wait} ms: ${outcome}, ${(performance.now() - asked).toFixed(0)} ms later`);
}
await model.dispose();
