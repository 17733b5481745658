import { uploadAnswers } from "../answers.ts";
import type { Benchmark } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { field, idText, keyField, textField } from "../fields.ts";
import { readRows } from "../files.ts";
import { normalise } from "../normalise.ts";
import { dumps } from "../python/json.ts";
import { questionLines } from "../questions.ts";

export const vizwiz: Benchmark = {
  name: "vizwiz",
  title: "VizWiz",
  figure: "accuracy, %",
  best: 100,
  published: { "LLaVA-1.5 7B": 50.0, "LLaVA-1.5 13B": 53.6 },
  maxNewTokens: 128,
  questions: questionLines,
  converter: {
    needs: ["questions"],
    extension: ".json",
    async *convert({ answers, questions = "" }, printer) {
      const all = await readRows(questions);
      const ids = all.map((question) => keyField(question, "question_id"));
      const answered = await uploadAnswers(answers, all.length, printer);
      const list = all.map((question, index) => {
        const answer = answered.get(ids[index]);
        if (answer !== undefined) {
          return { image: field(question, "image"), answer: normalise(textField(answer, "text")) };
        }
        const id = idText(question);
        throw new BenchmarkError(`question ${id} was not answered: every question needs an answer.`, {
          item: id,
        });
      });
      yield { name: null, bytes: dumps(list) };
    },
  },
};
