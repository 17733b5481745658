// What the original inference programs asked a model, recorded by scripts/fixtures/eval.py with one that has its
// answers ready.

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LlavaError } from "../../src/base/errors.ts";
import { type EvalRequest, run } from "../../src/eval/index.ts";

interface Case {
  program: string;
  name: string;
  files: Record<string, string>;
  arguments: string[];
  outputs: string[];
  model: string;
  expected: {
    exit: number;
    requests: {
      prompt: string;
      picture: { size: number[]; padded: number[]; rgb: string } | null;
      generate: object;
    }[];
    answers: object[];
  };
}

const fixture = new URL("../fixtures/eval/inference.json", import.meta.url);
const { cases, pictures }: { cases: Case[]; pictures: Record<string, string> } = JSON.parse(
  await readFile(fixture, "utf8"),
);

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "llava-eval-"));
  await mkdir(join(root, "images"));
  for (const [name, data] of Object.entries(pictures)) {
    await writeFile(join(root, "images", name), Buffer.from(data, "base64"));
  }
});
afterAll(() => rm(root, { recursive: true, force: true }));

const flag = (one: Case, name: string) => {
  const at = one.arguments.indexOf(`--${name}`);
  return at === -1 ? undefined : one.arguments[at + 1];
};

function benchmarkOf(one: Case): string {
  if (one.program === "model_vqa_loader.py") return "gqa";
  if (one.program === "model_vqa.py") return "mm-vet";
  if (one.program === "model_vqa_science.py") return "scienceqa";
  return flag(one, "lang") === "cn" ? "mmbench-cn" : "mmbench";
}

function described({ prompt, image, imageSize, generate }: EvalRequest) {
  const picture =
    image === null
      ? null
      : {
          size: imageSize,
          padded: [image.width, image.height],
          rgb: Buffer.from(image.data).toString("base64"),
        };
  return { prompt, picture, generate };
}

const withoutIds = (line: object) => ({ ...line, answer_id: "" });

describe.each([1, 3])("%i at once", (concurrency) => {
  test.each(cases.map((one) => [one.program, one.name, one] as const))(
    "%s: %s",
    async (_program, _name, one) => {
      const folder = await mkdtemp(join(root, "case-"));
      const [[name, text]] = Object.entries(one.files);
      await writeFile(join(folder, name), text);
      const asked: EvalRequest[] = [];
      const parts = flag(one, "num-chunks");
      const work = run(benchmarkOf(one), {
        questions: join(folder, name),
        images: join(root, "images"),
        answers: join(folder, "out", "a.jsonl"),
        model: one.model,
        allRounds: one.arguments.includes("--all-rounds"),
        concurrency,
        ...(parts === undefined ? {} : { chunk: `${flag(one, "chunk-idx")}/${parts}` }),
        responder: {
          answer: async (request) => {
            asked[request.index] = request;
            // Later questions are answered first.
            await new Promise((done) => setTimeout(done, 3 - (request.index % 3)));
            return one.outputs[request.index];
          },
        },
      });
      if (one.expected.exit === 0) await work;
      else await expect(work).rejects.toBeInstanceOf(LlavaError);
      const before = asked.slice(0, one.expected.requests.length);
      expect(before.map(described)).toEqual(one.expected.requests);
      const written = await readFile(join(folder, "out", "a.jsonl"), "utf8").catch(() => "");
      const lines = written.split("\n").slice(0, -1);
      expect(lines.map((line) => withoutIds(JSON.parse(line)))).toEqual(one.expected.answers.map(withoutIds));
    },
  );
});
