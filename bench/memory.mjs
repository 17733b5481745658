// Does anything leak? Resident memory over many generations, each with its own picture and prompt.
//
//   npm run build && node --expose-gc bench/memory.mjs [generations] [dtype]
//
// Prints one line for every hundred, and the growth from the hundredth to the last, in per cent. It runs what is built: to
// run TypeScript itself, Node 20 needs a thread with the compiler on it, which lets go of some 80 MB sooner or later.
import { AutoProcessor, LlavaForConditionalGeneration, load_image } from "llava";

const [generations = "1000", dtype = "auto"] = process.argv.slice(2);
const PICTURES = ["garden.jpg", "beach.jpg", "night.jpg", "snow.jpg", "shapes.png", "fruit.jpg"];
const QUESTIONS = ["Describe this picture.", "Is there a dog in the picture?", "How many things are there?"];
const model = await LlavaForConditionalGeneration.from_pretrained("llava-demo", { dtype });
const processor = await AutoProcessor.from_pretrained("llava-demo");
const folder = new URL("../checkpoints/llava-demo/pictures/", import.meta.url);
const images = await Promise.all(PICTURES.map((file) => load_image(new URL(file, folder).pathname)));

/** Part of what a collection frees goes back to the system in the background, and what that lets go of with the next one. */
async function collect() {
  for (let i = 0; i < 2; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

let hundredth = 0;
let last = 0;
for (let i = 1; i <= Number(generations); i++) {
  const text = `USER: <image>\n${QUESTIONS[i % QUESTIONS.length]} ASSISTANT:`;
  const inputs = await processor({ images: images[i % images.length], text });
  await model.generate({ ...inputs, max_new_tokens: 24 });
  if (i % 100 > 0) continue;
  await collect();
  last = process.memoryUsage.rss();
  if (i === 100) hundredth = last;
  const { heapUsed, external } = process.memoryUsage();
  const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);
  console.log(`${i}\trss ${mib(last)} MiB\theap ${mib(heapUsed)}\texternal ${mib(external)}`);
}
console.log(`growth ${((100 * (last - hundredth)) / hundredth).toFixed(2)} %`);
await model.dispose();
