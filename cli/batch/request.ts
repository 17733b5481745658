import { createHash } from "node:crypto";
import { z } from "zod";
import type { Sampling } from "../options.ts";
import type { Entry } from "./input.ts";

/** How a line calls itself: by the field that it uses for it. A line without one is called by its number. */
export interface Name {
  field: "key" | "id";
  value: string | number;
}

/** A question to the model. */
export interface BatchRequest {
  name: Name;
  /** Paths, addresses, data URIs or base64. */
  images: string[];
  prompt: string;
  sampling: Sampling;
  /** Stands for everything that the answer hangs on. */
  digest: string;
}

/** A line that asks nothing that could be answered. */
export interface BrokenRequest {
  name: Name;
  digest: string;
  trouble: string;
}

/** What holds for lines that do not say otherwise. */
export interface BatchDefaults {
  model: string;
  prompt: string;
  sampling: Sampling;
}

const text = z.string().refine((value) => value.trim() !== "", "expected a text, got nothing");
const name = z.union([text.max(1024), z.int()], "expected a text or a whole number");
const line = z
  .strictObject({
    key: name.optional(),
    id: name.optional(),
    image: text.optional(),
    images: z.array(text).min(1).max(64).optional(),
    prompt: text.optional(),
    max_new_tokens: z.int().min(1).optional(),
    temperature: z.number().min(0).optional(),
    top_p: z.number().gt(0).max(1).optional(),
    seed: z.int().min(0).optional(),
  })
  .refine(({ key, id }) => key === undefined || id === undefined, "expected key or id, got both")
  .refine(({ image, images }) => (image === undefined) !== (images === undefined), {
    error: "expected image or images",
  });

const FIELDS = "key, id, image, images, prompt, max_new_tokens, temperature, top_p, seed";

/** Two lines with the same identity are called the same. */
export function identityOf({ value }: Name): string {
  return String(value);
}

/** Reads what an entry asks. */
export function readRequest(entry: Entry, defaults: BatchDefaults): BatchRequest | BrokenRequest {
  const { model, prompt, sampling } = defaults;
  if (entry.kind === "picture") {
    const digest = digestOf(model, [entry.key], prompt, sampling);
    const name = { field: "key", value: entry.key } as const;
    return { name, images: [entry.path], prompt, sampling, digest };
  }
  const { number } = entry;
  if (entry.kind === "broken") return broken(nameByNumber(number, true), number, entry.trouble, "");
  const value = parseJson(entry.text);
  const result = line.safeParse(value);
  if (!result.success) {
    const trouble = value === undefined ? "it is no JSON" : explain(result.error.issues);
    return broken(nameIn(value) ?? nameByNumber(number, true), number, trouble, entry.text);
  }
  const asked = result.data;
  const images = asked.images ?? [asked.image ?? ""];
  const own: Sampling = {
    maxNewTokens: asked.max_new_tokens ?? sampling.maxNewTokens,
    temperature: asked.temperature ?? sampling.temperature,
    topP: asked.top_p ?? sampling.topP,
    seed: asked.seed ?? sampling.seed,
  };
  const question = asked.prompt ?? prompt;
  return {
    name: nameIn(asked) ?? nameByNumber(number, false),
    images,
    prompt: question,
    sampling: own,
    digest: digestOf(model, images, question, own),
  };
}

function parseJson(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch {
    return undefined;
  }
}

/** How a line calls itself, as far as that is right, whatever else is wrong with it. */
function nameIn(value: unknown): Name | undefined {
  const fields = z.looseObject({ key: name.optional(), id: name.optional() }).safeParse(value);
  if (!fields.success) return undefined;
  const { key, id } = fields.data;
  if (key !== undefined) return { field: "key", value: key };
  return id === undefined ? undefined : { field: "id", value: id };
}

function nameByNumber(number: number, isBroken: boolean): Name {
  return { field: "key", value: isBroken ? `line ${number}` : number };
}

function broken(name: Name, number: number, trouble: string, source: string): BrokenRequest {
  return { name, digest: hash([source, trouble]), trouble: `line ${number}: ${trouble}` };
}

function explain(issues: readonly z.core.$ZodIssue[]): string {
  const [issue] = issues;
  if (issue.code === "unrecognized_keys") return `unknown field '${issue.keys[0]}'. There are: ${FIELDS}`;
  const where = issue.path.length > 0 ? `"${issue.path.join(".")}": ` : "";
  return where + issue.message.charAt(0).toLowerCase() + issue.message.slice(1);
}

function digestOf(model: string, images: readonly string[], prompt: string, sampling: Sampling): string {
  const { maxNewTokens, temperature, topP, seed } = sampling;
  return hash([model, images, prompt, maxNewTokens, ...(temperature > 0 ? [temperature, topP, seed] : [])]);
}

function hash(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}
