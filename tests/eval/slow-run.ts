// A run whose model takes its time and writes down what it is asked: to be killed by run.test.ts.

import { appendFileSync } from "node:fs";
import { run } from "../../src/eval/index.ts";

const [questions, answers, images, log, concurrency] = process.argv.slice(2);

await run("gqa", {
  questions,
  answers,
  images,
  model: "some/llava",
  concurrency: Number(concurrency),
  responder: {
    answer: async ({ index, prompt }) => {
      appendFileSync(log, `${index}\n`);
      // The later of several at once is ready first, so that answers wait for their turn.
      await new Promise((done) => setTimeout(done, index % 3 === 0 ? 60 : 15));
      return `answer ${index} to ${prompt.length} signs`;
    },
  },
});
