// What does holding an answer to a JSON schema cost a token? Random scores lead to texts of some schemas. Each schema is
// held three times, with other scores: the first answer makes most of its automaton.
//
//   node --import ./scripts/typescript.mjs bench/grammar.ts [a folder with tokenizer.json]
//
// Prints milliseconds: to read the schema, a token of the first answer, a token of the third, the longest single token.
import { AutoTokenizer, type JSONSchema, JSONSchemaLogitsProcessor, Tensor } from "../src/index.ts";

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
