// What does holding an answer to a JSON schema cost a token? Random scores lead to texts of some schemas. Each schema is
// held three times, with other scores: the first answer makes most of its automaton.
//
//   node --import ./scripts/typescript.mjs bench/grammar.ts [a folder with tokenizer.json]
//
// Prints milliseconds: to read the schema, a token of the first answer, a token of the third, the longest single token.
// Then what it is of a whole step: llava-demo answers, held to a schema, and the time of its tokens after the first.
import {
  AutoTokenizer,
  BaseStreamer,
  type JSONSchema,
  JSONSchemaLogitsProcessor,
  LlavaForConditionalGeneration,
  Tensor,
} from "../src/index.ts";

const SCHEMAS: Record<string, JSONSchema> = {
  object: { type: "object" },
  string: { type: "string" },
  "string of 10 to 200": { type: "string", minLength: 10, maxLength: 200 },
  scene: {
    type: "object",
    properties: {
      things: { type: "array", items: { enum: ["cat", "sun", "butterfly", "dog"] }, maxItems: 5 },
      where: { type: "string", maxLength: 60 },
      count: { type: "integer", minimum: 0, maximum: 100 },
      day: { type: "boolean" },
    },
    required: ["things", "where", "count", "day"],
    additionalProperties: false,
  },
  email: { type: "string", format: "email", maxLength: 40 },
  uri: { type: "string", format: "uri" },
};
const ANSWER = 150;

const [name = "llava-demo"] = process.argv.slice(2);
const tokenizer = await AutoTokenizer.from_pretrained(name);
const V = tokenizer.vocab_size;
const eos_token_id = 2;
new JSONSchemaLogitsProcessor({ tokenizer, schema: { type: "null" }, eos_token_id });
console.log(`${V} tokens\tread\tfirst\tthird\tlongest`);
for (const [title, schema] of Object.entries(SCHEMAS)) {
  const read = performance.now();
  new JSONSchemaLogitsProcessor({ tokenizer, schema, eos_token_id });
  const made = performance.now() - read;
  const runs = [1, 2, 3].map((seed) => answer(schema, seed));
  const figures = [made, runs[0].mean, runs[2].mean, Math.max(...runs.map(({ longest }) => longest))];
  console.log(`${title}\t${figures.map((ms) => ms.toFixed(3)).join("\t")}`);
}

console.log("llava-demo\tms a token\tof which the schema\tshare");
const model = await LlavaForConditionalGeneration.from_pretrained("llava-demo");
for (const title of ["object", "scene"]) {
  const runs: [whole: number, held: number][] = [];
  for (let run = 0; run < 7; run++) runs.push(await steps(SCHEMAS[title]));
  const [whole, held] = runs.sort(([a], [b]) => a - b)[runs.length >> 1];
  console.log(`${title}\t${whole.toFixed(3)}\t${held.toFixed(3)}\t${((100 * held) / whole).toFixed(0)} %`);
}
await model.dispose();

/** Milliseconds of a token, and what the schema takes of them. */
async function steps(schema: JSONSchema): Promise<[whole: number, held: number]> {
  const max_new_tokens = 60;
  const demo = await AutoTokenizer.from_pretrained("llava-demo");
  const hold = new JSONSchemaLogitsProcessor({ tokenizer: demo, schema, eos_token_id, max_new_tokens });
  let [held, begun, tokens] = [0, 0, -2];
  const timed = (ids: Tensor, scores: Tensor): Tensor => {
    const from = performance.now();
    const out = hold(ids, scores);
    if (tokens >= 0) held += performance.now() - from;
    return out;
  };
  class Count extends BaseStreamer {
    put(): void {
      if (++tokens === 0) begun = performance.now();
    }
    end(): void {}
  }
  const input_ids = [demo.encode("USER: Say it in JSON. ASSISTANT:")];
  await model.generate({ input_ids, max_new_tokens, logits_processor: [timed], streamer: new Count() });
  return [(performance.now() - begun) / tokens, held / tokens];
}

function answer(schema: JSONSchema, seed: number): { mean: number; longest: number } {
  const hold = new JSONSchemaLogitsProcessor({ tokenizer, schema, eos_token_id, max_new_tokens: ANSWER });
  const ids = [1];
  let [sum, longest, state] = [0, 0, seed];
  for (;;) {
    const scores = Float32Array.from({ length: V }, () => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      return state / 2 ** 31;
    });
    const input = new Tensor("int32", [1, ids.length], ids);
    const begun = performance.now();
    const { data } = hold(input, new Tensor("float32", [1, V], scores));
    const took = performance.now() - begun;
    sum += took;
    longest = Math.max(longest, took);
    let best = 0;
    for (let id = 0; id < V; id++) if (data[id] > data[best]) best = id;
    ids.push(best);
    if (best === eos_token_id) return { mean: sum / (ids.length - 1), longest };
  }
}
