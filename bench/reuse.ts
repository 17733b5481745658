// What is saved where a picture or the beginning of a prompt comes again. Time to the first token, in milliseconds.
//
//   node --import ./scripts/typescript.mjs bench/reuse.ts [shape] [dtype] [clients] [runs]
//
// Weights are random. One question about a picture, then another about the same picture, in turn with the caches off and
// on; then so many clients at once, with one system prompt of 400 tokens and questions of their own.
import type { KeptDType } from "../src/api/weight_storage.ts";
import { BaseStreamer, LlavaForConditionalGeneration, Tensor } from "../src/index.ts";

const [shape = "llava-1.1b", dtype = "q4", clients = "8", runs = "1"] = process.argv.slice(2);
const model = await LlavaForConditionalGeneration.random(shape, { dtype: dtype as KeptDType });
const { vision_config, image_seq_length, image_token_id } = model.config;

/** Notes when the first token comes; what is put before is the prompt. */
class First extends BaseStreamer {
  at = 0;
  #puts = 0;

  put(): void {
    if (++this.#puts === 2) this.at = performance.now();
  }

  end(): void {}
}

/** `count` tokens that no other seed has in the same places. */
function words(seed: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => 5 + ((i * 7919 + seed * 104729) % 30000));
}

function picture(seed: number): Tensor {
  const side = [vision_config.image_size].flat()[0];
  const data = new Float32Array(3 * side * side).map((_, i) => Math.sin(i * 0.7 + seed));
  return new Tensor("float32", [1, 3, side, side], data);
}

async function firstToken(input_ids: number[], pixel_values?: Tensor): Promise<number> {
  const begin = performance.now();
  const streamer = new First();
  await model.generate({
    input_ids: [input_ids],
    pixel_values,
    max_new_tokens: 2,
    streamer,
    pad_token_id: 0,
  });
  return streamer.at - begin;
}

function question(seed: number): number[] {
  return [...words(0, 35), ...Array<number>(image_seq_length).fill(image_token_id), ...words(seed, 20)];
}

const shown = (label: string, times: readonly number[]): void => {
  const sorted = [...times].sort((a, b) => a - b);
  console.log(`${label.padEnd(58)}${sorted[Math.floor(sorted.length / 2)].toFixed(0).padStart(7)} ms`);
};

const seen = picture(1);
const [cold, warm]: number[][] = [[], []];
await firstToken(words(1, 100)); // kernels are made now
await firstToken(question(1), seen);
for (let run = 0; run < Number(runs) + 1; run++) {
  warm.push(await firstToken(question(run + 2), seen));
  model.clearCaches();
  cold.push(await firstToken(question(run + 100), seen));
}
shown(`a question of ${question(1).length} tokens about a new picture`, cold);
shown("another about the same picture", warm);

const system = words(99, 400);
const ask = (client: number): Promise<number> => firstToken([...system, ...words(200 + client, 20)]);
const together = async (prompt: (client: number) => number[]): Promise<number> => {
  model.clearCaches();
  const all = Array.from({ length: Number(clients) }, (_, client) => firstToken(prompt(client)));
  return Math.max(...(await Promise.all(all)));
};
const [apart, alike]: number[][] = [[], []];
for (let run = 0; run < Number(runs); run++) {
  alike.push(await together((client) => [...system, ...words(300 + client, 20)]));
  apart.push(await together((client) => [...words(400 + client, 400), ...words(300 + client, 20)]));
}
shown(`${clients} clients at once, 420 tokens, nothing in common: the last one's`, apart);
shown("the same with a system prompt of 400 tokens in common", alike);
shown("one more of them, alone", [await ask(1), await ask(2), await ask(3)]);
console.log(model.caches.prompts, model.caches.pictures);
await model.dispose();
