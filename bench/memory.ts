// Does anything leak? Resident memory over many generations, each with its own picture and prompt.
//
//   node --expose-gc --import ./scripts/typescript.mjs bench/memory.ts [generations] [dtype]
//
// Prints one line for every hundred, and the growth from the hundredth to the last, in per cent.
import { AutoProcessor, type DTypeName, LlavaForConditionalGeneration, load_image } from "../src/index.ts";

const [generations = "1000", dtype = "auto"] = process.argv.slice(2);
const PICTURES = ["garden.jpg", "beach.jpg", "night.jpg", "snow.jpg", "shapes.png", "fruit.jpg"];
const QUESTIONS = ["Describe this picture.", "Is there a dog in the picture?", "How many things are there?"];
const model = await LlavaForConditionalGeneration.from_pretrained("llava-demo", {
  dtype: dtype as DTypeName,
});
const processor = await AutoProcessor.from_pretrained("llava-demo");
const folder = new URL("../checkpoints/llava-demo/pictures/", import.meta.url);
const images = await Promise.all(PICTURES.map((file) => load_image(new URL(file, folder).pathname)));

let hundredth = 0;
let last = 0;
for (let i = 1; i <= Number(generations); i++) {
  const text = `USER: <image>\n${QUESTIONS[i % QUESTIONS.length]} ASSISTANT:`;
  const inputs = await processor({ images: images[i % images.length], text });
  await model.generate({ ...inputs, max_new_tokens: 24 });
  if (i % 100 > 0) continue;
  globalThis.gc?.();
  last = process.memoryUsage.rss();
  if (i === 100) hundredth = last;
  const { heapUsed, external } = process.memoryUsage();
  const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
  console.log(`${i}\trss ${mib(last)} MiB\theap ${mib(heapUsed)}\texternal ${mib(external)}`);
}
console.log(`growth ${((100 * (last - hundredth)) / hundredth).toFixed(2)} %`);
await model.dispose();
