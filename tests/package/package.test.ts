import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The example of Transformers' LLaVA page, with the bundled model and picture in place of the large ones. */
const EXAMPLE = `
import { AutoProcessor, LlavaForConditionalGeneration } from "llava";

const model = await LlavaForConditionalGeneration.from_pretrained("llava-demo", { dtype: "auto" });
const processor = await AutoProcessor.from_pretrained("llava-demo");

const conversation = [{
  role: "user",
  content: [
    { type: "image", path: "node_modules/llava/checkpoints/llava-demo/pictures/garden.jpg" },
    { type: "text", text: "What is shown in this image?" },
  ],
}];
const inputs = await processor.apply_chat_template(conversation, {
  add_generation_prompt: true, tokenize: true, return_dict: true, return_tensors: "pt",
});
const generate_ids = await model.generate({ ...inputs, max_new_tokens: 30 });
console.log(processor.batch_decode(generate_ids, { skip_special_tokens: true }));
`;

let folder: string;

/** Packs the package as it would be published, and installs it in an empty project. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-package-"));
  const packed = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: ROOT });
  const [{ filename }] = JSON.parse(packed.stdout.slice(packed.stdout.indexOf("["))) as {
    filename: string;
  }[];
  await writeFile(
    join(folder, "package.json"),
    JSON.stringify({ name: "empty", private: true, type: "module" }),
  );
  await run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", join(folder, filename)], {
    cwd: folder,
  });
}, 240_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

test("the documented example compiles under strict without a cast, and runs", async () => {
  await writeFile(join(folder, "example.ts"), EXAMPLE);
  const compilerOptions = {
    strict: true,
    module: "nodenext",
    target: "es2022",
    lib: ["es2022", "dom"],
    types: [],
    skipLibCheck: false,
    exactOptionalPropertyTypes: false,
  };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["example.ts"] }));
  await run("node", [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", folder], { cwd: folder });
  const { stdout, stderr } = await run("node", ["example.js"], { cwd: folder });
  expect(stderr).toBe("");
  expect(stdout).toContain(
    "ASSISTANT: The picture shows a sun, a cat, a butterfly and a sunflower in a green meadow.",
  );
}, 120_000);

test("the command is there", async () => {
  const { stdout } = await run("npx", ["llava", "--version"], { cwd: folder });
  const manifest = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as { version: string };
  expect(stdout.trim()).toBe(manifest.version);
}, 60_000);
