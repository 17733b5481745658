import { isAbsolute, join } from "node:path";
import { Admission } from "../../server/admission.ts";
import { LlavaError, load_image, type RawImage } from "../../src/index.ts";
import type { Asker, Part, Prepared } from "../answer.ts";
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

/** Answers questions of which many are under way. What is wrong with one or its pictures is an outcome, too. */
export class Questioner {
  readonly #asker: Asker;
  /** A decoded picture takes many times its file's size: few are in memory at once, however many questions run. */
  readonly #decoding = new Admission(DECODED_AT_ONCE, Number.POSITIVE_INFINITY);

  constructor(asker: Asker) {
    this.#asker = asker;
  }

  /**
   * Answers one question.
   *
   * @param load makes pictures of what the question names
   * @throws what is the program's or the machine's fault
   */
  async answer(
    { prompt, sampling }: { prompt: string; sampling: Sampling },
    load: () => Promise<RawImage[]>,
    signal: AbortSignal,
  ): Promise<Outcome> {
    try {
      const prepared = await this.#prepare(prompt, load, signal);
      signal.throwIfAborted();
      if ("ok" in prepared) return prepared;
      const { timings: _, ...said } = await this.#asker.answer(prepared, () => {}, signal, sampling);
      return { ok: true, ...said };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof LlavaError) return failure(error);
      throw error;
    }
  }

  async #prepare(
    prompt: string,
    load: () => Promise<RawImage[]>,
    signal: AbortSignal,
  ): Promise<Prepared | (Outcome & { ok: false })> {
    const leave = await this.#decoding.enter(signal);
    try {
      const pictures = await load().catch(failure);
      if (!Array.isArray(pictures)) return pictures;
      const content: Part[] = [
        ...pictures.map((image): Part => ({ type: "image", image })),
        { type: "text", text: prompt },
      ];
      return await this.#asker.prepare([{ role: "user", content }]);
    } finally {
      leave();
    }
  }
}

/** Questions whose pictures are decoded at once. */
const DECODED_AT_ONCE = 4;

/** The pictures of a question, from files and addresses. */
export function loadPictures(
  images: readonly string[],
  folder: string | undefined,
  signal: AbortSignal,
): Promise<RawImage[]> {
  return Promise.all(images.map(async (source) => load_image(await locate(source, folder), { signal })));
}
