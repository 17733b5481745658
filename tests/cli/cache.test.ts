import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { folderOf } from "../models/expected.ts";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

let root: string;
let checkpoint: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "llava-cache-"));
  checkpoint = join(root, "checkpoint");
  cpSync(folderOf("v5-f16"), checkpoint, { recursive: true });
  vi.stubEnv("LLAVA_CACHE", join(root, "own"));
  vi.stubEnv("HF_HUB_CACHE", join(root, "hub"));
  for (const dtype of ["q4", "q8"] as const) {
    const options = { dtype, device: "reference", packedCopy: true } as const;
    await (await LlavaForConditionalGeneration.from_pretrained(checkpoint, options)).dispose();
  }
  for (const name of ["models--org--first", "models--org--second"]) {
    const snapshot = join(root, "hub", name, "snapshots", "a".repeat(40));
    mkdirSync(snapshot, { recursive: true });
    writeFileSync(join(snapshot, "model.safetensors"), new Uint8Array(3_000_000));
  }
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true, force: true });
});

interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs the built command line; `npm install` has built it. */
function llava(...args: string[]): Promise<Result> {
  return new Promise((resolve) => {
    const env = { ...process.env, NO_COLOR: "1", HF_HUB_OFFLINE: "1" };
    const child = execFile("node", [MAIN, ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
    child.stdin?.end();
  });
}

function packed(): string[] {
  return readdirSync(join(root, "own/packed"));
}

test("the list: models and packed copies with size and last use, for people and as JSON", async () => {
  const [text, json] = await Promise.all([llava("cache"), llava("cache", "--json")]);
  expect(text.stdout).toContain(`models in ${join(root, "hub")}\n`);
  expect(text.stdout).toMatch(/ 3\.0 MB {2}\d{4}-\d\d-\d\d {2}org\/first\n/);
  expect(text.stdout).toMatch(new RegExp(`0\\.\\d MB  \\d{4}-\\d\\d-\\d\\d  ${checkpoint}  q4\\n`));
  const { hub, packed } = JSON.parse(json.stdout);
  expect(hub.folder).toBe(join(root, "hub"));
  expect(hub.models.map(({ name, bytes }: { name: string; bytes: number }) => [name, bytes])).toEqual([
    ["org/first", 3_000_000],
    ["org/second", 3_000_000],
  ]);
  expect(packed.copies.map(({ dtype }: { dtype: string }) => dtype).sort()).toEqual(["q4", "q8"]);
  for (const copy of packed.copies) {
    expect(copy).toMatchObject({ name: checkpoint, stale: false });
    expect(copy.bytes).toBeGreaterThan(10_000);
    expect(Date.now() - Date.parse(copy.last_used)).toBeLessThan(600_000);
  }
});

test("nothing is removed without a choice, a yes, or a name that is there", async () => {
  const tries: [string[], number, RegExp][] = [
    [[], 2, /say what to remove: names of models, --packed, or --all/],
    [["--all"], 2, /add --yes/],
    [["org/first"], 2, /add --yes/],
    [["org/first", "--all", "--yes"], 2, /--all is everything/],
    [["org/third", "--yes"], 1, /nothing of org\/third is kept on disk. There is: org\/first, org\/second/],
    [["org/first", "--packed", "--yes"], 1, /no packed copy of org\/first/],
  ];
  const results = await Promise.all(tries.map(([args]) => llava("cache", "remove", ...args)));
  for (const [i, [args, code, message]] of tries.entries()) {
    expect(results[i].stderr, `${args}`).toMatch(message);
    expect(results[i].code, `${args}`).toBe(code);
    expect(results[i].stdout).toBe("");
  }
  expect(packed().length).toBe(2);
  expect(readdirSync(join(root, "hub")).length).toBe(2);
});

test("one model, packed copies, everything", async () => {
  const one = await llava("cache", "remove", "org/first", "--yes");
  expect(one).toMatchObject({ code: 0, stdout: "removed 1 entry, 3.0 MB\n", stderr: "" });
  expect(readdirSync(join(root, "hub"))).toEqual(["models--org--second"]);
  expect(packed().length).toBe(2);

  const copies = await llava("cache", "remove", "--packed", "--yes", "--json");
  expect(JSON.parse(copies.stdout).removed.map(({ kind }: { kind: string }) => kind)).toEqual([
    "packed copy",
    "packed copy",
  ]);
  expect(packed()).toEqual([]);
  expect(existsSync(join(checkpoint, "model.safetensors"))).toBe(true);

  expect((await llava("cache", "remove", "--all", "--yes")).stdout).toBe("removed 1 entry, 3.0 MB\n");
  expect(readdirSync(join(root, "hub"))).toEqual([]);
});
