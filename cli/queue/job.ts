import { createHash } from "node:crypto";
import { z } from "zod";
import { identityOf, type Name } from "../batch/request.ts";

/** A picture of a question in the queue: its file's bytes, or where a worker finds it. */
const image = z.union([
  z.strictObject({ base64: z.string(), name: z.string() }),
  z.strictObject({ path: z.string() }),
  z.strictObject({ uri: z.string().regex(/^(https?|data):/i) }),
]);
export type QueuedImage = z.infer<typeof image>;

const name = z.strictObject({ field: z.enum(["key", "id"]), value: z.union([z.string(), z.int()]) });

/** A question in the queue. What comes from there is checked: others write to it, too. */
export const queuedQuestion = z.strictObject({
  /** Whose it is: results go there. */
  batch: z.string().regex(/^[0-9a-f]{16}$/),
  name,
  digest: z.string(),
  images: z.array(image).min(1).max(64),
  prompt: z.string(),
  sampling: z.strictObject({
    maxNewTokens: z.int().min(1),
    temperature: z.number().min(0),
    topP: z.number().gt(0).max(1),
    seed: z.int().min(0).optional(),
  }),
});
export type QueuedQuestion = z.infer<typeof queuedQuestion>;

/** A result on its way back: the line that is written, and what it is about. */
export const queuedResult = z.strictObject({
  name,
  digest: z.string(),
  failed: z.boolean(),
  tokens: z.strictObject({ prompt: z.int(), generated: z.int() }),
  line: z.string().endsWith("\n"),
});
export type QueuedResult = z.infer<typeof queuedResult>;

/** Seconds that Redis keeps what nobody fetches. */
export const KEPT_SECONDS = 7 * 24 * 3600;

/** Workers take questions to the model that they have. */
export function queueName(model: string): string {
  return model.replaceAll(":", "_");
}

/** The same question has the same job, however often it is added. */
export function jobId(batch: string, asked: Name, digest: string): string {
  return `${batch}-${shortHash(identityOf(asked))}-${digest}`;
}

/** The list that a batch's results wait in. */
export function resultsKey(batch: string): string {
  return `llava-results:${batch}`;
}

/** What `--status` tells of a batch. */
export function batchKey(batch: string): string {
  return `llava-batch:${batch}`;
}

/** The set of all batches. */
export const BATCHES_KEY = "llava-batches";

export function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
