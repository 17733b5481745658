import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectOneLine, llava, PICTURES } from "./support.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-cli-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("describe", () => {
  test("prints the answer to standard output, and nothing else there", async () => {
    const result = await llava(["describe", join(PICTURES, "snow.jpg")]);
    expect(result.stdout).toBe(
      "The picture shows a fir tree, a snowman and a penguin in the snow. The fir tree is on the left, " +
        "the snowman is at the bottom and the penguin is at the bottom right.\n",
    );
    expect(result.stderr).toContain("snow.jpg");
    expect(result.code).toBe(0);
  });

  test("several pictures, a question, and JSON with all its fields", async () => {
    const pictures = ["garden.jpg", "night.jpg"].map((name) => join(PICTURES, name));
    const result = await llava(["describe", ...pictures, "--prompt", "Compare the two pictures.", "--json"]);
    expect(result.stderr).toBe("");
    const json = JSON.parse(result.stdout);
    expect(json.text).toBe(
      "The first picture shows a sun, a cat, a butterfly and a sunflower in a green meadow. " +
        "The second picture shows an owl and a moon under a starry night sky.",
    );
    expect(json).toMatchObject({
      model: "llava-demo",
      dtype: "bfloat16",
      image_tokens: 128,
      finish_reason: "stop",
    });
    expect(json.prompt_tokens).toBeGreaterThan(128);
    expect(json.generated_tokens).toBeGreaterThan(20);
    const timings =
      "load_ms image_ms vision_ms prefill_ms first_token_ms decode_ms decode_tokens_per_second".split(" ");
    for (const name of timings) expect(json.timings[name], name).toBeGreaterThan(0);
    expect(json.memory.peak_rss_bytes).toBeGreaterThan(1e7);
  });

  test("ends at the asked length, and says so", async () => {
    const result = await llava(["describe", join(PICTURES, "sea.jpg"), "--max-new-tokens", "3", "--json"]);
    const json = JSON.parse(result.stdout);
    expect(json.generated_tokens).toBe(3);
    expect(json.finish_reason).toBe("length");
  });

  test("says in one line what is wrong with a picture", async () => {
    await writeFile(join(folder, "empty.jpg"), "");
    await writeFile(join(folder, "text.png"), "not a picture at all");
    expectOneLine(await llava(["describe", join(folder, "nothing.jpg")]), 1, /nothing\.jpg/);
    expectOneLine(await llava(["describe", join(folder, "empty.jpg")]), 1, /empty\.jpg.*empty/);
    expectOneLine(await llava(["describe", join(folder, "text.png")]), 1, /text\.png/);
    expectOneLine(await llava(["describe", folder]), 1, /folder|directory/);
  });

  test("says in one line what is wrong with a model", async () => {
    const picture = join(PICTURES, "sea.jpg");
    expectOneLine(await llava(["describe", picture, "--model", join(folder, "none")]), 1, /none/);
    expectOneLine(
      await llava(["describe", picture, "--model", "nobody/nothing"]),
      1,
      /nobody\/nothing.*offline/i,
    );
    expectOneLine(await llava(["describe", picture, "--model", folder]), 1, /config\.json/);
  });

  test("wrong usage ends with 2 and names what is wrong", async () => {
    for (const [args, text] of [
      [["describe"], /missing required argument 'image'/],
      [["describe", "a.jpg", "--promt", "x"], /unknown option '--promt'/],
      [["describe", "a.jpg", "--dtype", "q9"], /--dtype.*q9.*Allowed choices/],
      [["describe", "a.jpg", "--cache-dtype", "q4"], /--cache-dtype.*q4.*Allowed choices/],
      [["describe", "a.jpg", "--max-new-tokens", "many"], /--max-new-tokens.*whole number/],
      [["describe", "a.jpg", "--temperature", "-1"], /--temperature/],
      [["paint"], /unknown command 'paint'/],
    ] as const) {
      const result = await llava([...args]);
      expectOneLine(result, 2, text);
    }
  });
});

test("chat: questions about one picture, a second picture, wrong commands", async () => {
  const lines = [
    "Which animal is in the picture?",
    "/image nothing.png",
    "/jump",
    "Where is the moon?",
    "/exit",
  ];
  const result = await llava(["chat", join(PICTURES, "night.jpg")], { input: `${lines.join("\n")}\n` });
  expect(result.stdout).toContain("An owl.");
  expect(result.stdout).toContain("The moon is at the top right.");
  expect(result.stderr).toMatch(/nothing\.png/);
  expect(result.stderr).toMatch(/There is no \/jump/);
  expect(result.code).toBe(0);
});

test("info: the machine, and what a model needs", async () => {
  const result = await llava(["info", "llava-demo", "--json"]);
  const { machine, model } = JSON.parse(result.stdout);
  expect(machine.node).toBe(process.versions.node);
  expect(machine.device.description.length).toBeGreaterThan(10);
  expect(model).toMatchObject({
    text: "llama",
    vision: "clip_vision_model",
    image_tokens: 64,
    context: 2048,
  });
  expect(model.weights_bytes.bfloat16).toBe(2 * model.parameters);
  // Nobody sees colours here; picocolors would use them where CI is set.
  expect((await llava(["info"], { set: { NO_COLOR: undefined, CI: "1" } })).stdout).toMatch(
    /^processor {3}\S/m,
  );
});

test("eval: asks the model, goes on where it stopped, and scores", async () => {
  const questions = join(folder, "questions.jsonl");
  const answers = join(folder, "answers.jsonl");
  const text = "Which animal is in the picture?";
  const lines = ["snow.jpg", "night.jpg"].map((image, i) =>
    JSON.stringify({ question_id: i + 1, image, text, category: "default" }),
  );
  await writeFile(questions, `${lines.join("\n")}\n`);
  const args = ["eval", "run", "vqav2", "--questions", questions, "--images", PICTURES, "--answers", answers];
  const first = await llava([...args, "--preset", "hf"]);
  expect(first.stderr).toMatch(/2 of them new/);
  expect(first.code).toBe(0);
  const written = (await readFile(answers, "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(written.map(({ question_id }) => question_id)).toEqual([1, 2]);
  // As Transformers answered (pictures.json), spaces at the ends taken off.
  expect(written.map(({ text: answer }) => answer)).toEqual(["A penguin.", "An owl."]);
  expect((await llava([...args, "--preset", "hf"])).stderr).toMatch(/0 of them new/);
});

test("every command has help with examples", async () => {
  for (const command of ["describe", "chat", "batch", "worker", "pull", "info"]) {
    const { stdout, code } = await llava([command, "--help"]);
    expect(stdout).toMatch(/Examples:\n {2}llava/);
    expect(code).toBe(0);
  }
  expect((await llava([])).code).toBe(2);
});

test("every host that pictures may come from is named", async () => {
  for (const host of ["*", "https://example.com/pictures"]) {
    const { code, stderr } = await llava(["serve", "--port", "0", "--allow-image-host", host]);
    expect(code).not.toBe(0);
    expect(stderr).toContain("Expected one host, as images.example.com or cdn.example.com:8443.");
  }
});
