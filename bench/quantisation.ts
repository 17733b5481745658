/*
 * What dtype q8 and q4 cost on the bundled checkpoint, beside plain rounding to 4 bits: error of the logits and of the
 * weights against float32, and how many of the recorded questions get the same answer, word for word. Then the same for
 * what keys and values are kept in.
 *
 *   node --import ./scripts/typescript.mjs bench/quantisation.ts [weights] [cache]
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { AutoProcessor, type CacheDTypeName, LlavaForConditionalGeneration } from "../src/index.ts";
import { formatOf } from "../src/kernels/formats/format.ts";
import { FORMATS } from "../src/kernels/formats/formats.ts";
import { numberToBfloat16 } from "../src/tensor/dtype.ts";

const PICTURES = new URL("../checkpoints/llava-demo/pictures/", import.meta.url);

interface Turn {
  question: string;
  answer: string;
}

/** Round to nearest in the same blocks: the largest magnitude becomes 7. */
const plain = formatOf({
  ...FORMATS.q4,
  scale: (block) => numberToBfloat16(block.reduce((most, v) => Math.max(most, Math.abs(v)), 0) / 7),
  scales: undefined,
});

const processor = await AutoProcessor.from_pretrained("llava-demo");
const { pictures } = JSON.parse(await readFile(new URL("pictures.json", PICTURES), "utf8")) as {
  pictures: { file: string; conversations: Turn[][] }[];
};

/** Logits of every row of every question and its recorded answer, and how many answers are the recorded ones. */
async function measure(dtype: "float32" | "bfloat16" | "q8" | "q4", cacheDtype: CacheDTypeName = "float32") {
  const model = await LlavaForConditionalGeneration.from_pretrained("llava-demo", { dtype, cacheDtype });
  const bits = (8 * model.get_memory_footprint()) / model.num_parameters();
  const logits: Float32Array[] = [];
  let same = 0;
  for (const { file, conversations } of pictures)
    for (const turns of conversations) {
      const inputs = await processor.apply_chat_template(messages(file, turns), {
        add_generation_prompt: true,
        tokenize: true,
        return_dict: true,
      });
      logits.push((await model.forward({ ...inputs })).logits.data as Float32Array);
      const ids = await model.generate({ ...inputs, max_new_tokens: 100, do_sample: false });
      const answered = Array.from(ids.data, Number).slice(inputs.input_ids.data.length);
      const text = processor.decode(answered, { skip_special_tokens: true });
      if (text === turns[turns.length - 1].answer) same++;
    }
  await model.dispose();
  return { bits, logits, same };
}

function messages(file: string, turns: Turn[]) {
  const image = { type: "image" as const, path: fileURLToPath(new URL(file, PICTURES)) };
  return turns.flatMap(({ question, answer }, i) => {
    const text = { type: "text" as const, text: question };
    const user = { role: "user", content: i === 0 ? [image, text] : [text] };
    const assistant = { role: "assistant", content: [{ type: "text" as const, text: answer }] };
    return i === turns.length - 1 ? [user] : [user, assistant];
  });
}

/**
 * Root of the summed squared differences over that of the squares; the largest difference; and the rows whose largest
 * logit is the same.
 */
function compare(got: Float32Array[], expected: Float32Array[]) {
  let [squares, differences, agree, rows, most] = [0, 0, 0, 0, 0];
  for (const [i, e] of expected.entries()) {
    const g = got[i];
    for (let k = 0; k < e.length; k++) {
      squares += e[k] ** 2;
      differences += (g[k] - e[k]) ** 2;
      most = Math.max(most, Math.abs(g[k] - e[k]));
    }
    for (let at = 0; at < e.length; at += VOCABULARY) {
      const largest = (x: Float32Array): number => {
        const row = x.subarray(at, at + VOCABULARY);
        return row.indexOf(row.reduce((a, b) => Math.max(a, b)));
      };
      rows++;
      if (largest(e) === largest(g)) agree++;
    }
  }
  return { error: Math.sqrt(differences / squares), agreement: agree / rows, most };
}

const VOCABULARY = 1536;
const questions = pictures.flatMap(({ conversations }) => conversations).length;
const exact = await measure("float32");

async function row(name: string, dtype: "bfloat16" | "q8" | "q4"): Promise<void> {
  const { bits, logits, same } = await measure(dtype);
  const { error, agreement } = compare(logits, exact.logits);
  const cells = [name, bits.toFixed(2), error.toExponential(1), `${(100 * agreement).toFixed(1)} %`];
  console.log(`| ${[...cells, `${same} of ${questions}`].join(" | ")} |`);
}

async function cacheRow(dtype: "float32" | "q8" | "q4", cacheDtype: CacheDTypeName): Promise<void> {
  const { logits, same } = await measure(dtype, cacheDtype);
  const { error, agreement, most } = compare(logits, exact.logits);
  const cells = [dtype, cacheDtype, error.toExponential(1), most.toPrecision(2)];
  console.log(
    `| ${[...cells, `${(100 * agreement).toFixed(1)} %`, `${same} of ${questions}`].join(" | ")} |`,
  );
}

const parts = process.argv.length > 2 ? process.argv.slice(2) : ["weights", "cache"];
if (parts.includes("weights")) {
  console.log(
    "| weights | bits a weight, all in all | error of the logits | same next token | same answers |",
  );
  console.log("|---|---:|---:|---:|---:|");
  console.log(`| float32 | 32.00 | 0 | 100.0 % | ${exact.same} of ${questions} |`);
  await row("bfloat16", "bfloat16");
  await row("q8", "q8");
  await row("q4", "q4");
}
if (parts.includes("cache")) {
  console.log("| weights | cache | error of the logits | largest | same next token | same answers |");
  console.log("|---|---|---:|---:|---:|---:|");
  for (const dtype of ["float32", "q8", "q4"] as const)
    for (const cache of ["float32", "float16", "q8"] as const) await cacheRow(dtype, cache);
}
if (parts.includes("weights")) {
  Object.assign(FORMATS, { q4: plain });
  await row("4 bits, rounded to nearest", "q4");
}
