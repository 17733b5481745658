import { type ChildProcess, execFile, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, describe, expect, test, vi } from "vitest";
import { app } from "../../examples/hono.ts";
import { POST } from "../../examples/nextjs/app/api/describe/route.ts";
import { HAS_REDIS, startRedis } from "../cli/redis.ts";
import { PICTURES, QUESTIONS } from "../cli/support.ts";

// They start processes, which take long on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const env = { ...process.env, HF_HUB_OFFLINE: "1", LLAVA_MODEL: "llava-demo" };
const run = (file: string, args: string[] = [], more: object = {}) => {
  const all = ["--import", "./scripts/typescript.mjs", `examples/${file}`, ...args];
  return promisify(execFile)("node", all, { cwd: ROOT, env: { ...env, ...more } });
};

/** What Transformers answers to a question about a bundled picture. */
function recorded(file: string, question = "Describe this picture."): string {
  const found = QUESTIONS.find(
    ({ images, prompt }) => images.join() === join(PICTURES, file) && prompt === question,
  );
  if (!found) throw new Error(`${file} has no recorded answer`);
  return found.answer;
}

async function form(file: string, prompt?: string): Promise<FormData> {
  const body = new FormData();
  body.set("image", new File([new Uint8Array(await readFile(join(PICTURES, file)))], file));
  if (prompt !== undefined) body.set("prompt", prompt);
  return body;
}

const started: ChildProcess[] = [];
afterAll(() => {
  for (const child of started) child.kill("SIGKILL");
});

test("describe.ts", async () => {
  const { stdout, stderr } = await run("describe.ts");
  expect(stderr).toBe("");
  expect(stdout).toContain(`ASSISTANT: ${recorded("garden.jpg", "What is shown in this image?")}`);
});

test("stream.ts", async () => {
  const { stdout, stderr } = await run("stream.ts", [join(PICTURES, "snow.jpg")]);
  expect(stderr).toBe("");
  expect(stdout).toBe(`${recorded("snow.jpg")}\n`);
});

test("hono.ts: a route with an uploaded picture", async () => {
  const post = async (body: FormData) => app.request("http://x/describe", { method: "POST", body });
  const response = await post(await form("night.jpg", "Is it day or night?"));
  expect(await response.json()).toEqual({ answer: recorded("night.jpg", "Is it day or night?") });
  expect((await post(new FormData())).status).toBe(400);
  expect((await post(await form("pictures.json"))).status).toBe(400);
});

test("route.ts: a Next.js route handler, streamed", async () => {
  const post = (body: FormData) => POST(new Request("http://x/api/describe", { method: "POST", body }));
  const response = await post(await form("party.jpg"));
  expect(response.headers.get("content-type")).toContain("text/plain");
  const decoder = new TextDecoder();
  const parts: string[] = [];
  for await (const part of response.body ?? []) parts.push(decoder.decode(part, { stream: true }));
  expect(parts.length).toBeGreaterThan(3);
  expect(parts.join("")).toBe(recorded("party.jpg"));
  expect((await post(new FormData())).status).toBe(400);
  expect((await post(await form("pictures.json"))).status).toBe(400);
  expect((await POST(new Request("http://x", { method: "POST" }))).status).toBe(400);
});

describe.skipIf(!HAS_REDIS)("(skipped where there is no redis-server)", () => {
  test("worker_queue.ts", async () => {
    const { url: REDIS_URL, server } = await startRedis(tmpdir());
    started.push(server);
    const work = ["--import", "./scripts/typescript.mjs", "examples/worker_queue.ts", "work"];
    const worker = spawn("node", work, { cwd: ROOT, env: { ...env, REDIS_URL }, stdio: "ignore" });
    started.push(worker);
    const pictures = ["beach.jpg", "shapes.png"].map((file) => join(PICTURES, file));
    const { stdout } = await run("worker_queue.ts", ["ask", ...pictures], { REDIS_URL });
    expect(stdout).toBe(
      `${pictures[0]}: ${recorded("beach.jpg")}\n${pictures[1]}: ${recorded("shapes.png")}\n`,
    );
    const end = new Promise((done) => worker.once("exit", done));
    worker.kill("SIGTERM");
    expect(await end).toBe(0);
  });
});
