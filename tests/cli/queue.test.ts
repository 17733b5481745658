import type { ChildProcess } from "node:child_process";
import { appendFile, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { openInput } from "../../cli/batch/input.ts";
import { readRequest } from "../../cli/batch/request.ts";
import { IncomingPictures } from "../../cli/queue/incoming.ts";
import { resultsKey } from "../../cli/queue/job.ts";
import { batchId } from "../../cli/queue/produce.ts";
import { connect } from "../../cli/queue/redis.ts";
import { freePort, HAS_REDIS, startRedis } from "./redis.ts";
import {
  ended,
  expectOneLine,
  llava,
  PICTURES,
  QUESTIONS,
  readLines,
  startLlava,
  untilLines,
} from "./support.ts";

// They start processes, which take long on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

let folder: string;
let url: string;
let redis: ChildProcess | undefined;
const started: ChildProcess[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-queue-"));
});
afterAll(async () => {
  for (const child of started) child.kill("SIGKILL");
  redis?.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

describe.skipIf(!HAS_REDIS)("over Redis (skipped where there is no redis-server)", () => {
  beforeAll(async () => {
    ({ url, server: redis } = await startRedis(folder));
  });

  function start(args: string[]): ChildProcess {
    const child = startLlava([...args, "--queue", url]);
    started.push(child);
    return child;
  }

  const worker = (): ChildProcess =>
    start([
      "worker",
      "--threads",
      "1",
      "--concurrency",
      "4",
      "--stalled-after",
      "2",
      "--allow-folder",
      folder,
    ]);

  test("three workers, one of them and the sender killed: every key once, and the right answers", async () => {
    const asked = QUESTIONS.map((question, i) => ({ ...question, key: `q${i}` }));
    const wrong = [
      { key: "none", image: "nothing.jpg" },
      { key: "away", image: "http://localhost:9/picture.png" },
      { key: "typo", imag: "x" },
    ];
    const input = join(folder, "in.jsonl");
    const lines = [...wrong, ...asked.map(({ key, images, prompt }) => ({ key, images, prompt }))];
    await writeFile(input, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    const out = join(folder, "out.jsonl");
    const batch = ["batch", input, out, "--attempts", "2"];

    const workers = [worker(), worker(), worker()];
    const sender = start(batch);
    const senderEnd = ended(sender);
    await untilLines(out, 10);
    workers[0].kill("SIGKILL");
    await untilLines(out, 25);
    sender.kill("SIGKILL");
    expect(await senderEnd).toBe("SIGKILL");
    await appendFile(out, '{"key":"q1","text":"The');

    const end = await llava([...batch, "--queue", url, "--json"]);
    expect(end.stderr).toBe("");
    expect(JSON.parse(end.stdout)).toMatchObject({ total: lines.length, done: lines.length, errors: 3 });
    const records = await readLines(out);
    expect(records.length).toBe(lines.length);
    const byKey = new Map(records.map((record) => [record.key, record]));
    expect(byKey.size).toBe(lines.length);
    for (const { key, answer } of asked) expect(byKey.get(key)?.text, key).toBe(answer);
    expect(byKey.get("none")?.error).toMatchObject({ type: "ImageError" });
    expect(byKey.get("typo")?.error).toMatchObject({ type: "LineError" });
    expect(byKey.get("away")?.error).toMatchObject({ type: "DeadJobError" });

    const dead = JSON.parse((await llava(["batch", "--queue", url, "--dead", "--json"])).stdout);
    expect(dead).toMatchObject([{ key: "away", tries: 2 }]);
    expect(dead[0].error).toMatch(/localhost:9/);
    const status = JSON.parse((await llava(["batch", "--queue", url, "--status", "--json"])).stdout);
    expect(status).toMatchObject({ queue: "llava-demo", running: 0, waiting: 0, delayed: 0, dead: 1 });
    expect(status.batches).toMatchObject([{ out, total: lines.length, done: lines.length, errors: 3 }]);

    for (const child of workers.slice(1)) {
      const exit = ended(child);
      child.kill("SIGTERM");
      expect(await exit).toBe(0);
    }
  });

  test("all that came back while nobody waited is taken: none of it is asked again", async () => {
    const input = join(folder, "waiting.jsonl");
    const out = join(folder, "waiting.out.jsonl");
    const asked = Array.from({ length: 250 }, (_, i) => ({ key: `w${i}`, image: "none.jpg" }));
    await writeFile(input, asked.map((line) => `${JSON.stringify(line)}\n`).join(""));
    const sampling = { maxNewTokens: 256, temperature: 0, topP: 1 };
    const defaults = { model: "nobody/works", prompt: "Describe this picture.", sampling };
    const { redis: client, close } = await connect(url);
    for await (const entry of (await openInput([input])).entries()) {
      const { name, digest } = readRequest(entry, defaults);
      const line = `${JSON.stringify({ key: name.value, text: "yes", request: digest })}\n`;
      const tokens = { prompt: 1, generated: 1 };
      await client.rpush(
        resultsKey(batchId(out)),
        JSON.stringify({ name, digest, failed: false, tokens, line }),
      );
    }
    await close();
    const end = await llava([...["batch", input, out, "--queue", url, "--model", "nobody/works"], "--json"]);
    expect(JSON.parse(end.stdout)).toMatchObject({ total: 250, done: 250, errors: 0 });
    expect(new Set((await readLines(out)).map(({ key }) => key)).size).toBe(250);
  });

  test("flags that mean nothing with a queue, or without one", async () => {
    for (const [args, said] of [
      [["batch", "a", "b", "--queue", url, "--dtype", "q4"], /--dtype is the workers' with --queue/],
      [["batch", "a", "b", "--queue", url, "--cache-dtype", "q8"], /--cache-dtype is the workers' with/],
      [["batch", "a", "b", "--status"], /--status needs --queue/],
      [["batch", "--queue", "http://x", "--dead"], /--queue: expected redis:/],
    ] as const) {
      expectOneLine(await llava([...args]), 2, said);
    }
    const nobody = ["batch", "--dead", "--queue", `redis://secret:word@127.0.0.1:${await freePort()}`];
    const result = await llava(nobody);
    expectOneLine(result, 1, /cannot be used \(connect ECONNREFUSED.*Is Redis running there\?/);
    expect(result.stderr).not.toContain("word");
  });
});

test("a worker reads pictures only where it may", async () => {
  const allowed = join(folder, "allowed");
  await mkdir(allowed);
  await copyFile(join(PICTURES, "snow.jpg"), join(allowed, "..snow.jpg"));
  await copyFile(join(PICTURES, "snow.jpg"), join(folder, "secret.jpg"));
  const { signal } = new AbortController();
  const pictures = new IncomingPictures({ folders: [allowed], hosts: [] });
  for (const path of [
    join(folder, "secret.jpg"),
    join(allowed, "../secret.jpg"),
    `${allowed}/../secret.jpg`,
    `${allowed}-not/x.jpg`,
    allowed,
    "secret.jpg",
  ]) {
    await expect(pictures.load({ path }, signal), path).rejects.toThrow(/this worker may not read it/);
  }
  const none = new IncomingPictures({ folders: [], hosts: [] });
  await expect(none.load({ path: join(allowed, "..snow.jpg") }, signal)).rejects.toThrow(/may not read/);
  await expect(none.load({ uri: "http://127.0.0.1:9/a.png" }, signal)).rejects.toThrow(
    /127.0.0.1:9.*may not fetch it/,
  );
  expect((await pictures.load({ path: join(allowed, "..snow.jpg") }, signal)).channels).toBe(3);
  const base64 = (await readFile(join(PICTURES, "snow.jpg"))).toString("base64");
  expect((await none.load({ base64, name: "x" }, signal)).width).toBeGreaterThan(1);
  await expect(none.load({ base64: "AAAA", name: "my.jpg" }, signal)).rejects.toThrow(/^my\.jpg/);
});
