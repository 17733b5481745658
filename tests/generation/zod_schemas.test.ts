import { asSchema } from "ai";
import { zodResponseFormat } from "openai/helpers/zod";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import {
  AutoProcessor,
  type JSONSchema,
  JSONSchemaLogitsProcessor,
  OptionError,
  Tensor,
} from "../../src/index.ts";
import { seeded } from "../random.ts";

/** What people write, by name. What is right is what zod itself takes. */
const SCHEMAS: Record<string, z.ZodType> = {
  email: z.email(),
  "email of a length": z.email().min(8).max(30),
  url: z.url(),
  httpUrl: z.httpUrl(),
  uuid: z.uuid(),
  uuidv7: z.uuidv7(),
  guid: z.guid(),
  date: z.iso.date(),
  time: z.iso.time(),
  datetime: z.iso.datetime(),
  "datetime with an offset": z.iso.datetime({ offset: true }),
  "datetime without one": z.iso.datetime({ local: true }),
  "datetime to the millisecond": z.iso.datetime({ precision: 3 }),
  duration: z.iso.duration(),
  ipv4: z.ipv4(),
  ipv6: z.ipv6(),
  cidrv4: z.cidrv4(),
  base64: z.base64(),
  base64url: z.base64url(),
  nanoid: z.nanoid(),
  ulid: z.ulid(),
  cuid2: z.cuid2(),
  e164: z.e164(),
  emoji: z.emoji(),
  hostname: z.hostname(),
  hex: z.hex(),
  startsWith: z.string().startsWith("ab").max(12),
  "startsWith and endsWith": z.string().startsWith("a+").endsWith("z.").max(20),
  includes: z.string().includes("x(y)").max(12),
  regex: z.string().regex(/^[A-Z]{2}\d+$/),
  "several patterns and a length": z
    .string()
    .min(4)
    .max(9)
    .regex(/^a/)
    .regex(/z$/)
    .regex(/[0-9]{2}/),
  lowercase: z.string().lowercase().max(10),
  length: z.string().min(2).max(5),
  templateLiteral: z.templateLiteral(["a-", z.number(), "-", z.enum(["x", "y"])]),
  int: z.int(),
  int32: z.int32(),
  "number between": z.number().min(1).max(2.5),
  positive: z.number().positive(),
  "multiples of five": z.number().int().multipleOf(5).min(1).max(1000),
  "steps of a quarter": z.number().multipleOf(0.25).min(-2).max(2),
  boolean: z.boolean(),
  null: z.null(),
  enum: z.enum(["a", "b"]),
  literals: z.literal(["x", 2, null]),
  union: z.union([z.string().max(5), z.int()]),
  nullable: z.string().max(5).nullable(),
  optional: z.object({ a: z.string().max(5).optional(), b: z.int() }),
  nullish: z.object({ a: z.int().nullish() }),
  default: z.object({ a: z.int().default(3) }),
  record: z.record(z.string().max(4), z.int()),
  "record of an enum": z.record(z.enum(["a", "b"]), z.int()),
  partialRecord: z.partialRecord(z.enum(["a", "b"]), z.int()),
  "arrays in arrays": z.array(z.array(z.int().max(9)).max(2)).max(2),
  "array of a length": z.array(z.boolean()).min(1).max(3),
  tuple: z.tuple([z.boolean(), z.int()]),
  "tuple with a rest": z.tuple([z.boolean()]).rest(z.null()),
  discriminatedUnion: z.discriminatedUnion("t", [
    z.object({ t: z.literal("a"), x: z.int() }),
    z.object({ t: z.literal("b"), y: z.boolean() }),
  ]),
  intersection: z.intersection(z.object({ a: z.int() }), z.object({ b: z.boolean() })),
  strictObject: z.strictObject({ a: z.int() }),
  looseObject: z.looseObject({ a: z.int() }),
  catchall: z.object({ a: z.int() }).catchall(z.boolean()),
  never: z.object({ a: z.never().optional(), b: z.int() }),
  recursive: z.object({
    name: z.string().max(3),
    get kids() {
      return z.array(recursive).max(1);
    },
  }),
  json: z.json(),
  described: z.object({
    a: z
      .int()
      .describe("how many")
      .meta({ examples: [3] }),
  }),
};
const recursive: z.ZodType = z.object({ name: z.string().max(3), kids: z.array(z.never()).max(0) });

interface Sent {
  schema: JSONSchema;
  /** What takes the answer. */
  zod: z.ZodType;
}

/** The schemas that clients send for one of zod's. A client may refuse to send it; then it is not among them. */
function sent(zod: z.ZodType): Sent[] {
  const wrapped = z.object({ value: zod });
  const ways: (() => { schema: unknown; zod: z.ZodType })[] = [
    () => ({ schema: z.toJSONSchema(zod), zod }),
    () => ({ schema: asSchema(zod as never).jsonSchema, zod }),
    () => ({ schema: zodResponseFormat(wrapped, "answer").json_schema.schema, zod: wrapped }),
  ];
  return ways.flatMap((way) => {
    try {
      return way() as Sent;
    } catch {
      return [];
    }
  });
}

let tokenizer: Awaited<ReturnType<typeof AutoProcessor.from_pretrained>>["tokenizer"];
beforeAll(async () => {
  ({ tokenizer } = await AutoProcessor.from_pretrained("llava-demo"));
});

/** A text that random scores lead to. */
function textOf(schema: JSONSchema, seed: string): string {
  const max_new_tokens = 120;
  const hold = new JSONSchemaLogitsProcessor({ tokenizer, schema, eos_token_id: 2, max_new_tokens });
  const next = seeded(seed);
  const ids = [1, 99];
  for (;;) {
    const scores = Float32Array.from({ length: 1536 }, () => next());
    const { data } = hold(
      new Tensor("int32", [1, ids.length], ids),
      new Tensor("float32", [1, 1536], scores),
    );
    const best = Array.from(data, Number).reduce((top, score, id, all) => (score > all[top] ? id : top), 0);
    if (best === 2) return tokenizer.decode(ids.slice(2));
    expect(ids.length).toBeLessThan(2 + max_new_tokens);
    ids.push(best);
  }
}

describe("schemas of zod, as clients send them", () => {
  test.each(Object.entries(SCHEMAS))("%s", (name, own) => {
    const all = sent(own);
    expect(all.length).toBeGreaterThan(0);
    for (const [i, { schema, zod }] of all.entries()) {
      const text = textOf(schema, `${name} ${i}`);
      const { success, error } = zod.safeParse(JSON.parse(text));
      expect(success, `${text} ${JSON.stringify(schema)} ${error?.message}`).toBe(true);
    }
  });

  test.each(
    Object.entries({
      "a token that is signed": [z.jwt(), /format: "jwt" cannot be held/],
      "a value that is of several parts": [
        z
          .union([z.object({ a: z.int() }), z.object({ b: z.int() })], { error: "one" })
          .meta({ uniqueItems: true }),
        /uniqueItems: this keyword cannot be held/,
      ],
    }) as [string, [z.ZodType, RegExp]][],
  )("%s is refused by its name", (_, [schema, message]) => {
    const own = z.toJSONSchema(schema) as JSONSchema;
    const make = () => new JSONSchemaLogitsProcessor({ tokenizer, schema: own, eos_token_id: 2 });
    expect(make).toThrow(OptionError);
    expect(make).toThrow(message);
  });
});
