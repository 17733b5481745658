// The question file of most benchmarks: one object a line.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Entry, PictureFile, QuestionFiles } from "./benchmark.ts";
import { BenchmarkError } from "./errors.ts";
import { field, textField } from "./fields.ts";
import { readRows } from "./files.ts";

/** The last line of a prompt that wants a short answer. */
export const SHORT = "Answer the question using a single word or phrase.";
/** The last line of a prompt that wants an option's letter. */
export const LETTER = "Answer with the option's letter from the given choices directly.";

/** Lines of `{"question_id", "image", "text"}`; the text is asked as it stands. */
export async function questionLines({ questions, images }: QuestionFiles): Promise<Entry[]> {
  return (await readRows(questions)).map((row) => [
    () => {
      const text = textField(row, "text");
      return {
        id: field(row, "question_id"),
        text,
        prompt: text,
        picture: pictureFile(images, textField(row, "image")),
      };
    },
  ]);
}

/** A picture in the images' folder. */
export function pictureFile(folder: string | undefined, name: string): PictureFile {
  const path = join(folder ?? ".", name);
  return {
    name: path,
    read: () =>
      readFile(path).catch((cause: unknown) => {
        throw new BenchmarkError(`${path}: the picture cannot be read. Is the folder of the images right?`, {
          where: path,
          item: name,
          cause,
        });
      }),
  };
}
