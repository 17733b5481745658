import { isAbsolute, join } from "node:path";
import { LlavaError, load_image, type RawImage } from "../../src/index.ts";
import type { Asker, Part } from "../answer.ts";
import type { Sampling } from "../options.ts";
import { kindOf } from "./pictures.ts";
import { failure, type Outcome } from "./record.ts";

/** Whether a picture is named by something else than a path. */
export function isAddress(source: string): boolean {
  return /^(https?|data|file):/i.test(source);
}

/** The path of a picture: one that is not absolute is looked for beside the input first, then in the current folder. */
export async function locate(source: string, folder: string | undefined): Promise<string> {
  if (isAddress(source) || isAbsolute(source) || folder === undefined) return source;
  const beside = join(folder, source);
  return (await kindOf(beside)) === "file" ? beside : source;
}

/**
 * Answers one question. What is wrong with the question or its pictures is an outcome, too.
 *
 * @param load makes pictures of what the question names
 * @throws what is the program's or the machine's fault
 */
export async function answerQuestion(
  asker: Asker,
  { prompt, sampling }: { prompt: string; sampling: Sampling },
  load: () => Promise<RawImage[]>,
  signal: AbortSignal,
): Promise<Outcome> {
  const pictures = await load().catch((error: unknown) => {
    signal.throwIfAborted();
    return failure(error);
  });
  if (!Array.isArray(pictures)) return pictures;
  const content: Part[] = [
    ...pictures.map((image): Part => ({ type: "image", image })),
    { type: "text", text: prompt },
  ];
  try {
    const answer = await asker.ask([{ role: "user", content }], () => {}, signal, sampling);
    const { timings: _, ...said } = answer;
    return { ok: true, ...said };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof LlavaError) return failure(error);
    throw error;
  }
}

/** The pictures of a question, from files and addresses. */
export function loadPictures(
  images: readonly string[],
  folder: string | undefined,
  signal: AbortSignal,
): Promise<RawImage[]> {
  return Promise.all(images.map(async (source) => load_image(await locate(source, folder), { signal })));
}
