import Ajv, { type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { beforeAll, describe, expect, test } from "vitest";
import { Automaton } from "../../src/generation/grammar/automaton.ts";
import { Grammar } from "../../src/generation/grammar/grammar.ts";
import { schemaGrammar } from "../../src/generation/grammar/json_schema.ts";
import type { JSONSchema } from "../../src/generation/grammar/schema_keywords.ts";
import {
  AutoProcessor,
  JSONSchemaLogitsProcessor,
  LlavaForConditionalGeneration,
  load_image,
  OptionError,
  Tensor,
} from "../../src/index.ts";
import { seeded } from "../random.ts";

const ajv = new Ajv.default({ strict: false });
addFormats.default(ajv);

/** What is right is what a validator says; valid values are given in the order of the schema's properties. */
interface Case {
  name: string;
  schema: JSONSchema;
  valid: unknown[];
  invalid: unknown[];
}

const person = {
  type: "object",
  properties: {
    name: { type: "string", minLength: 1, maxLength: 8 },
    age: { type: "integer", minimum: 0, maximum: 130 },
    pets: { type: "array", items: { enum: ["cat", "dog", "fish"] }, maxItems: 2 },
  },
  required: ["name", "age"],
  additionalProperties: false,
};

const CASES: Case[] = [
  { name: "null", schema: { type: "null" }, valid: [null], invalid: [0, "null"] },
  { name: "boolean", schema: { type: "boolean" }, valid: [true, false], invalid: [null, "true"] },
  { name: "integer", schema: { type: "integer" }, valid: [0, -7, 123456], invalid: [1.5, "1"] },
  { name: "number", schema: { type: "number" }, valid: [0, -7.25, 1e-7, 123456.5], invalid: ["1", null] },
  {
    name: "integer within",
    schema: { type: "integer", minimum: -12, maximum: 103 },
    valid: [-12, -1, 0, 9, 10, 99, 103],
    invalid: [-13, 104, 1000, -100],
  },
  {
    name: "integer between",
    schema: { type: "integer", exclusiveMinimum: 1995, exclusiveMaximum: 2007 },
    valid: [1996, 2000, 2006],
    invalid: [1995, 2007, 20, 200, 19960],
  },
  {
    name: "whole numbers as zod writes them",
    schema: { type: "integer", minimum: -9007199254740991, maximum: 9007199254740991 },
    valid: [0, -5, 123456789012345],
    invalid: [0.5],
  },
  {
    name: "number within",
    schema: { type: "number", minimum: 0, maximum: 1 },
    valid: [0, 1, 0.5, 0.000123],
    invalid: [-0.1, 1.01, 2, 10],
  },
  {
    name: "number in a narrow range",
    schema: { type: "number", exclusiveMinimum: -0.25, maximum: -0.1 },
    valid: [-0.1, -0.2, -0.249],
    invalid: [-0.25, -0.3, 0.1, 0, -1],
  },
  {
    name: "number from tenths",
    schema: { type: "number", minimum: 0.1, maximum: 0.3 },
    valid: [0.1, 0.3, 0.25],
    invalid: [0.09, 0.31, 0, 3],
  },
  {
    name: "string",
    schema: { type: "string" },
    valid: ["", "a", 'say "no" \\ é 猫 🐈\n'],
    invalid: [1, null, {}],
  },
  {
    name: "string of a length",
    schema: { type: "string", minLength: 2, maxLength: 4 },
    valid: ["ab", "猫猫", "🐈🐈🐈🐈", '""'],
    invalid: ["a", "abcde", ""],
  },
  {
    name: "pattern",
    schema: { type: "string", pattern: "^[A-Z]{2}-\\d{3,5}(x|yy)?$" },
    valid: ["AB-123", "ZZ-99999yy", "QA-1234x"],
    invalid: ["AB-12", "AB-123xy", "ab-123", "AB-123 "],
  },
  {
    name: "pattern found anywhere, with classes and escapes",
    schema: { type: "string", pattern: "[^a-c\\s]\\.(?:é|\\u732b)+" },
    valid: ["d.é", "xx.猫猫!", "9.éé"],
    invalid: ["a.é", " .é", "d.", "dé"],
  },
  {
    name: "pattern with alternatives",
    schema: { type: "string", pattern: "^a+$|^b$" },
    valid: ["aaa", "b"],
    invalid: ["ab", ""],
  },
  {
    name: "date",
    schema: { type: "string", format: "date" },
    valid: ["2024-02-28", "1999-12-31"],
    invalid: ["2024-02-30", "2024-13-01", "24-01-01"],
  },
  {
    name: "date-time",
    schema: { type: "string", format: "date-time" },
    valid: ["2024-02-28T23:59:59Z", "1999-12-31T00:00:00.25Z"],
    invalid: ["2024-02-28", "2024-02-28T24:00:00Z"],
  },
  {
    name: "uuid",
    schema: { type: "string", format: "uuid" },
    valid: ["123e4567-e89b-42d3-a456-426614174000"],
    invalid: ["123e4567"],
  },
  {
    name: "ipv4 and email",
    schema: {
      type: "object",
      properties: { host: { type: "string", format: "ipv4" }, mail: { type: "string", format: "email" } },
      required: ["host", "mail"],
      additionalProperties: false,
    },
    valid: [{ host: "10.0.255.1", mail: "a.b@example.org" }],
    invalid: [
      { host: "10.0.256.1", mail: "a@example.org" },
      { host: "1.1.1.1", mail: "nobody" },
    ],
  },
  {
    name: "a number of steps",
    schema: { type: "number", multipleOf: 0.25, minimum: -1, exclusiveMaximum: 3 },
    valid: [-1, -0.75, 0, 0.5, 2.75],
    invalid: [-1.25, 3, 0.3, 1.125],
  },
  {
    name: "a pattern with look-ahead, and a length",
    schema: { type: "string", pattern: "^(?!.*--)[a-z-]+$", minLength: 2, maxLength: 6 },
    valid: ["ab", "a-b-c", "-x"],
    invalid: ["a", "a--b", "abcdefg"],
  },
  {
    name: "a format beside a pattern",
    schema: { type: "string", format: "date", pattern: "^20[0-9]{2}-02-29$" },
    valid: ["2000-02-29", "2024-02-29"],
    invalid: ["2023-02-29", "1996-02-29", "2024-02-28"],
  },
  {
    name: "host names, addresses, durations",
    schema: {
      type: "array",
      prefixItems: ["hostname", "uri", "ipv6", "duration"].map((format) => ({ type: "string", format })),
      items: false,
      minItems: 1,
    },
    valid: [
      ["a-b.example.org"],
      ["a.org", "https://a.example.org/b/c?d=e#f", "0:1:2:3:4:5:6:ffff", "P1DT2H"],
    ],
    invalid: [["-a"], ["a.org", "no address"], ["a.org", "https://a.org", ":::"]],
  },
  {
    name: "several patterns",
    schema: {
      type: "string",
      format: "ends_with",
      allOf: [{ pattern: "^a" }, { pattern: "z$" }, { maxLength: 4 }],
    },
    valid: ["az", 'a"yz'],
    invalid: ["a", "z", "abcdz"],
  },
  {
    name: "all of several objects",
    schema: {
      $defs: { named: { type: "object", properties: { name: { type: "string" } }, required: ["name"] } },
      allOf: [
        { $ref: "#/$defs/named" },
        {
          type: "object",
          properties: { name: { enum: ["a", "b"] }, age: { type: "integer" } },
          required: ["age"],
        },
      ],
    },
    valid: [{ name: "a", age: 3 }],
    invalid: [{ name: "c", age: 3 }, { name: "a" }, { age: 3 }],
  },
  {
    name: "names that an enum allows",
    schema: {
      type: "object",
      propertyNames: { enum: ["a", "b"] },
      required: ["a"],
      properties: { c: { type: "null" } },
      additionalProperties: { type: "integer" },
    },
    valid: [{ a: 1 }],
    invalid: [{ b: 1 }, { c: null, a: 1 }],
  },
  {
    name: "a property that cannot be",
    schema: {
      type: "object",
      properties: { a: { not: {} }, b: false, c: { type: "null" } },
      required: ["c"],
      additionalProperties: false,
    },
    valid: [{ c: null }],
    invalid: [
      { a: 1, c: null },
      { b: 1, c: null },
    ],
  },
  {
    name: "enum",
    schema: { enum: ["red", 2, null, [1]] },
    valid: ["red", 2, null, [1]],
    invalid: ["blue", 3],
  },
  {
    name: "enum of a type",
    schema: { type: "string", enum: ["a", 1, "b"] },
    valid: ["a", "b"],
    invalid: [1],
  },
  { name: "const", schema: { const: { a: [true] } }, valid: [{ a: [true] }], invalid: [{ a: [false] }] },
  {
    name: "object",
    schema: person,
    valid: [
      { name: "Ida", age: 7 },
      { name: "Bo", age: 130, pets: [] },
      { name: "Cy", age: 0, pets: ["dog", "cat"] },
    ],
    invalid: [
      { name: "Ida" },
      { name: "", age: 1 },
      { name: "Bo", age: 131 },
      { name: "Bo", age: 1, pets: ["cow"] },
    ],
  },
  {
    name: "optional properties",
    schema: {
      type: "object",
      properties: { a: { type: "null" }, b: { type: "null" }, c: { type: "null" }, d: { type: "null" } },
      required: ["c"],
      additionalProperties: false,
    },
    valid: [
      { c: null },
      { a: null, c: null },
      { b: null, c: null, d: null },
      { a: null, b: null, c: null, d: null },
    ],
    invalid: [{}, { a: null }, { a: null, d: null }],
  },
  {
    name: "object of numbers",
    schema: { type: "object", additionalProperties: { type: "integer" } },
    valid: [{}, { x: 1, "y z": -2 }],
    invalid: [{ x: "1" }, []],
  },
  {
    name: "object of certain names",
    schema: {
      type: "object",
      propertyNames: { pattern: "^[a-c]{2}$" },
      additionalProperties: { type: "null" },
    },
    valid: [{}, { ab: null, cc: null }],
    invalid: [{ a: null }, { abc: null }, { ab: 1 }],
  },
  {
    name: "required only",
    schema: { type: "object", required: ["k"], additionalProperties: { type: "boolean" } },
    valid: [{ k: true }],
    invalid: [{}, { k: 1 }],
  },
  {
    name: "array",
    schema: { type: "array", items: { type: "integer", minimum: 0, maximum: 9 }, minItems: 2, maxItems: 4 },
    valid: [
      [1, 2],
      [0, 9, 3, 4],
    ],
    invalid: [[], [1], [1, 2, 3, 4, 5], [10, 1]],
  },
  {
    name: "tuple",
    schema: {
      type: "array",
      prefixItems: [{ type: "string" }, { type: "boolean" }],
      items: false,
      minItems: 1,
    },
    valid: [["a"], ["a", true]],
    invalid: [[], [true], ["a", true, 1]],
  },
  {
    name: "tuple with more",
    schema: { type: "array", prefixItems: [{ const: 0 }], items: { const: 1 }, minItems: 2 },
    valid: [
      [0, 1],
      [0, 1, 1],
    ],
    invalid: [[0], [1], [0, 0]],
  },
  {
    name: "anyOf",
    schema: {
      anyOf: [{ type: "string", maxLength: 2 }, { type: "null" }, { type: "integer", minimum: 100 }],
    },
    valid: ["ab", null, 100, 5000],
    invalid: ["abc", 99, false],
  },
  {
    name: "several types",
    schema: { type: ["string", "null", "array"], items: { type: "boolean" } },
    valid: ["x", null, [true]],
    invalid: [1, [1]],
  },
  {
    name: "oneOf with a mark",
    schema: {
      oneOf: [
        {
          type: "object",
          properties: { kind: { const: "a" }, x: { type: "integer" } },
          required: ["kind", "x"],
        },
        {
          type: "object",
          properties: { kind: { const: "b" }, y: { type: "string" } },
          required: ["kind", "y"],
        },
      ],
    },
    valid: [
      { kind: "a", x: 1 },
      { kind: "b", y: "" },
    ],
    invalid: [{ kind: "a", y: "" }, { kind: "c" }],
  },
  {
    name: "a tree",
    schema: {
      $ref: "#/$defs/node",
      $defs: {
        node: {
          type: "object",
          properties: {
            value: { type: "integer" },
            children: { type: "array", items: { $ref: "#/$defs/node" }, maxItems: 2 },
          },
          required: ["value", "children"],
          additionalProperties: false,
        },
      },
    },
    valid: [
      {
        value: 1,
        children: [
          { value: 2, children: [] },
          { value: 3, children: [{ value: 4, children: [] }] },
        ],
      },
    ],
    invalid: [{ value: 1 }, { value: 1, children: [1] }],
  },
  { name: "anything", schema: {}, valid: [null, [1, { a: ["b"] }], "x", -1.5], invalid: [] },
  {
    name: "any object",
    schema: { type: "object" },
    valid: [{}, { a: [1, null], b: { c: "d" } }],
    invalid: [[], 1],
  },
];

function automatonOf(schema: JSONSchema): Automaton {
  const grammar = new Grammar();
  return new Automaton(grammar, schemaGrammar(grammar, schema));
}

function accepts(automaton: Automaton, text: string): boolean {
  let state: ReturnType<Automaton["step"]> = automaton.start;
  for (const byte of new TextEncoder().encode(text)) state = state && automaton.step(state, byte);
  return state?.accepts === true;
}

describe.each(CASES)("$name", ({ schema, valid, invalid }) => {
  const automaton = automatonOf(schema);
  const validate: ValidateFunction = ajv.compile(schema);

  test("valid values are let through, in the usual ways to write them; others are not", () => {
    for (const value of valid) {
      expect(validate(value), JSON.stringify(value)).toBe(true);
      const plain = JSON.stringify(value);
      // Numbers in bounds are written without exponents.
      const texts = [plain, JSON.stringify(value, null, 2), ` ${plain}`];
      for (const text of texts) expect(accepts(automaton, text), text).toBe(true);
    }
    for (const value of invalid) {
      expect(validate(value), JSON.stringify(value)).toBe(false);
      expect(accepts(automaton, JSON.stringify(value)), JSON.stringify(value)).toBe(false);
    }
  });

  test("no beginning of a valid text is a whole one by mistake, and the distance is what is missing at least", () => {
    for (const value of valid) {
      const bytes = new TextEncoder().encode(JSON.stringify(value));
      let state: ReturnType<Automaton["step"]> = automaton.start;
      for (const [i, byte] of bytes.entries()) {
        expect(state?.distance).toBeLessThanOrEqual(bytes.length - i);
        state = state && automaton.step(state, byte);
      }
      expect(state?.distance).toBe(0);
    }
  });
});

let processor: Awaited<ReturnType<typeof AutoProcessor.from_pretrained>>;
beforeAll(async () => {
  processor = await AutoProcessor.from_pretrained("llava-demo");
});

describe("random scores", () => {
  test.each(CASES)("$name: what comes out is valid, and there in time", ({ name, schema }) => {
    const validate = ajv.compile(schema);
    const { tokenizer } = processor;
    for (const [seed, max_new_tokens] of [70, 90, 140].entries()) {
      const constrain = new JSONSchemaLogitsProcessor({ tokenizer, schema, eos_token_id: 2, max_new_tokens });
      const next = seeded(`${name} ${seed}`);
      const ids = [1, 99];
      while (ids.length < 2 + max_new_tokens) {
        const scores = new Tensor(
          "float32",
          [1, 1536],
          Float32Array.from({ length: 1536 }, () => next()),
        );
        const { data } = constrain(new Tensor("int32", [1, ids.length], ids), scores);
        const best = Array.from(data, Number).reduce(
          (top, score, id, all) => (score > all[top] ? id : top),
          0,
        );
        expect(data[best]).toBe(scores.data[best]);
        if (best === 2) break;
        ids.push(best);
      }
      expect(ids.length).toBeLessThan(2 + max_new_tokens);
      const text = tokenizer.decode(ids.slice(2));
      const value = JSON.parse(text);
      expect(validate(value), text).toBe(true);
    }
  });
});

test("a model's answer is what the schema says", async () => {
  const model = await LlavaForConditionalGeneration.from_pretrained("llava-demo");
  try {
    const image = await load_image(
      new URL("../../checkpoints/llava-demo/pictures/garden.jpg", import.meta.url).pathname,
    );
    const inputs = await processor({
      images: image,
      text: "USER: <image>\nHow many animals are there? ASSISTANT:",
    });
    const schema = {
      type: "object",
      properties: { animals: { type: "integer", minimum: 1, maximum: 5 }, night: { type: "boolean" } },
      required: ["animals", "night"],
      additionalProperties: false,
    };
    const { tokenizer } = processor;
    const constrain = new JSONSchemaLogitsProcessor({
      tokenizer,
      schema,
      eos_token_id: 2,
      max_new_tokens: 40,
    });
    const ids = await model.generate({ ...inputs, max_new_tokens: 40, logits_processor: [constrain] });
    const answer = (ids.tolist() as number[][])[0].slice(inputs.input_ids.shape[1]);
    expect(answer[answer.length - 1]).toBe(2);
    const value = JSON.parse(processor.decode(answer, { skip_special_tokens: true }));
    expect(ajv.compile(schema)(value)).toBe(true);
  } finally {
    await model.dispose();
  }
});

/** Lists in lists. */
function nested(depth: number): JSONSchema {
  let schema: JSONSchema = { type: "null" };
  for (let i = 0; i < depth; i++) schema = { type: "array", items: schema };
  return schema;
}

test.each(
  [
    [{ type: "text" }, /schema\.type/],
    [
      { type: "object", properties: { a: { type: "object", minProperties: 2 } } },
      /a\.minProperties.*cannot be held/,
    ],
    [{ type: "number", multipleOf: 0 }, /multipleOf: expected a number above 0/],
    [{ type: "number", multipleOf: 1e-13 }, /multipleOf: expected a number above 0/],
    [{ type: "object", propertys: {} }, /propertys.*properties/],
    [{ type: "array", uniqueItems: true }, /uniqueItems/],
    [{ minimum: 3 }, /minimum cannot be held without a "type"/],
    [{ type: "string", minimum: 3 }, /minimum cannot be held for type string/],
    [{ type: "string", pattern: "(?<=a)b" }, /\(\?<= is not supported/],
    [{ type: "string", pattern: "a\\b" }, /\\b is not supported/],
    [{ type: "string", pattern: "(a)\\1" }, /\\1 is not supported/],
    [{ type: "string", pattern: "^(?:a(?!b))*$" }, /look-ahead.*within a repetition/],
    [{ type: "string", pattern: "a{1001}" }, /\{1001\} is not supported/],
    [{ type: "string", format: "json-pointer" }, /format.*json-pointer/],
    [{ type: "string", format: "cuid" }, /format.*cuid/],
    [{ type: "string", pattern: "^a{3}$", maxLength: 2 }, /no value/],
    [{ type: "string", pattern: "^(([a-z]{1,900}){1,900}){1,900}$", minLength: 900 }, /too large to be held/],
    [{ type: "string", pattern: `^${"(?=.*a.{40}b)(?!.*c.{40}d)".repeat(8)}.*$` }, /too large to be held/],
    [nested(101), /too deep/],
    [nested(100_000), /too deep/],
    [{ type: "integer", minimum: 5, maximum: 4 }, /no value/],
    [{ $ref: "#/$defs/none" }, /none is not in the schema/],
    [{ $ref: "#" }, /no value/],
    [{ oneOf: [{ type: "integer" }, { type: "number" }] }, /use anyOf/],
    [
      { allOf: [{ type: "integer" }, { multipleOf: 2 }, { multipleOf: 3 }] },
      /multipleOf.*several parts of allOf/,
    ],
    [{ allOf: [{ type: "integer" }, { type: "string" }] }, /of different kinds in parts of allOf/],
    [{ type: "array", additionalItems: false }, /additionalItems.*items is no list/],
    [{ type: "string", enum: [] }, /no value/],
    [{ type: "array", items: false, minItems: 1 }, /minItems/],
  ].map((own, i) => [i, ...own]) as [number, JSONSchema, RegExp][],
)("what cannot be held is refused: %i", (_, schema, text) => {
  const make = () =>
    new JSONSchemaLogitsProcessor({ tokenizer: processor.tokenizer, schema, eos_token_id: 2 });
  expect(make).toThrow(OptionError);
  expect(make).toThrow(text);
});
