import { type ChildProcess, spawn } from "node:child_process";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import OpenAI, { APIError, AuthenticationError, BadRequestError, NotFoundError } from "openai";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createApp } from "../../server/app.ts";
import { ApiError } from "../../server/errors.ts";
import { type Listening, listen } from "../../server/listen.ts";
import { chatBody, dataUri, demo, demoService, firstTurn } from "./support.ts";

const { service, lines } = demoService({ running: 8, queued: 1 });
const snow = await dataUri("snow.jpg");
const { question, answer } = firstTurn("snow.jpg");
const user = { role: "user" as const };
const content = [
  { type: "image_url" as const, image_url: { url: snow } },
  { type: "text" as const, text: question },
];
/** A long answer: nothing ends it before its length. */
const LONG = {
  model: "llava-demo",
  messages: [{ ...user, content: "Go on." }],
  max_tokens: 1900,
  logit_bias: { 2: -100 },
};
let server: Listening;
let client: OpenAI;

beforeAll(async () => {
  await service.warmUp();
  const app = createApp(service, { apiKey: "key", loopbackOnly: true });
  server = await listen(service, app.fetch, { host: "127.0.0.1", port: 0 });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "key", maxRetries: 0 });
});
afterAll(async () => {
  await server.close(100);
  await service.pool.dispose();
});

/** Waits until nothing is computed any more. */
async function idle(): Promise<number> {
  const begin = performance.now();
  while (service.admission.running > 0 && performance.now() - begin < 10_000) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(service.admission.running).toBe(0);
  return performance.now() - begin;
}

describe("the official client", () => {
  test("models", async () => {
    const listed = await client.models.list();
    expect(listed.data.map(({ id }) => id)).toEqual(["llava-demo"]);
    expect(await client.models.retrieve("llava-demo")).toMatchObject({ object: "model" });
  });

  test("a chat about a picture", async () => {
    const completion = await client.chat.completions.create({
      ...{ model: "llava-demo", messages: [{ ...user, content }] },
    });
    expect(completion.choices[0].message.content).toBe(answer);
    expect(completion.usage?.completion_tokens).toBeGreaterThan(10);
  });

  test("a stream, with usage", async () => {
    const stream = await client.chat.completions.create({
      ...{ model: "llava-demo", messages: [{ ...user, content }] },
      ...{ stream: true, stream_options: { include_usage: true } },
    });
    let text = "";
    let usage = 0;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage += chunk.usage?.total_tokens ?? 0;
    }
    expect(text).toBe(answer);
    expect(usage).toBeGreaterThan(70);
  });

  test("its stream helper", async () => {
    const runner = client.chat.completions.stream({
      ...{ model: "llava-demo", messages: [{ ...user, content }], logprobs: true },
    });
    expect((await runner.finalChatCompletion()).choices[0].message.content).toBe(answer);
  });

  test("completions", async () => {
    const completion = await client.completions.create({ model: "llava-demo", prompt: "The", max_tokens: 4 });
    expect(completion.choices[0].finish_reason).toBe("length");
  });

  test("errors are of the client's own classes, and name the field", async () => {
    const ask = (more: object): Promise<unknown> =>
      client.chat.completions.create({ model: "llava-demo", messages: [{ ...user, content: "x" }], ...more });
    await expect(ask({ temperature: 3 })).rejects.toMatchObject({ status: 400, param: "temperature" });
    await expect(ask({ temperature: 3 })).rejects.toBeInstanceOf(BadRequestError);
    await expect(ask({ model: "gpt-4o" })).rejects.toBeInstanceOf(NotFoundError);
    const stranger = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "other", maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(AuthenticationError);
  });
});

describe("clients that leave", () => {
  test("a stream that is left ends at once", async () => {
    const stream = await client.chat.completions.create({ ...LONG, stream: true });
    for await (const chunk of stream) if (chunk.choices[0].delta.content) break;
    expect(await idle()).toBeLessThan(1500);
    expect(lines.at(-1)).toMatchObject({ status: 499, error: "client_gone" });
  });

  test("so does a whole answer", async () => {
    const controller = new AbortController();
    const asked = client.chat.completions.create(LONG, { signal: controller.signal });
    setTimeout(() => controller.abort(), 300);
    await expect(asked).rejects.toThrow();
    expect(await idle()).toBeLessThan(1500);
  });

  test("and a connection that is cut", async () => {
    const body = JSON.stringify({ ...LONG, stream: true });
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer key\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    await new Promise((resolve) => socket.once("data", resolve));
    socket.destroy();
    expect(await idle()).toBeLessThan(1500);
  });
});

describe("limits", () => {
  test("who finds the line full is told when to come back", async () => {
    const controllers = Array.from({ length: 10 }, () => new AbortController());
    const asked = controllers.map(({ signal }) => client.chat.completions.create(LONG, { signal }));
    const results = Promise.allSettled(asked);
    const refused = await Promise.any(
      asked.map((promise) =>
        promise.then(
          () => Promise.reject(),
          (error) => error,
        ),
      ),
    );
    expect(refused).toBeInstanceOf(APIError);
    expect(refused).toMatchObject({ status: 429, code: "queue_full" });
    expect(refused.headers.get("retry-after")).toBe("1");
    for (const controller of controllers) controller.abort();
    const statuses = (await results).map((result) =>
      result.status === "rejected" ? result.reason.status : 200,
    );
    expect(statuses.filter((status) => status === 429).length).toBe(1);
    await idle();
    expect(service.admission.waiting).toBe(0);
  });

  test("64 MB are refused, and the server goes on", async () => {
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: "Bearer key" },
      body: Buffer.alloc(64 * 2 ** 20, 0x20),
    });
    expect(response.status).toBe(413);
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
  });

  test("bodies are bounded together: while they are read, and while they wait in line", async () => {
    const { service: small } = demoService({ bodiesBytes: 5000, running: 1 });
    await small.warmUp();
    const app = createApp(small);
    const post = async (body: string | ReadableStream<Uint8Array>): Promise<Response> => {
      const headers: Record<string, string> = { "Content-Type": "application/json" };
      if (typeof body === "string") headers["Content-Length"] = String(body.length);
      const init: RequestInit & { duplex: "half" } = { method: "POST", headers, body, duplex: "half" };
      return app.request("http://x/v1/chat/completions", init);
    };
    const large = `${" ".repeat(3000)}${JSON.stringify(chatBody("Hello", [], { max_tokens: 1 }))}`;
    const refused = async (): Promise<void> => {
      const response = await post(large);
      expect(response.status).toBe(429);
      expect(response.headers.get("retry-after")).toBe("1");
      expect(await response.json()).toMatchObject({
        error: { type: "rate_limit_error", code: "bodies_full" },
      });
    };
    // One that does not say how long it is, and is not at its end.
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const slow = post(readable);
    void writer.write(new TextEncoder().encode(" ".repeat(2500)));
    await vi.waitFor(() => expect(small.bodies.bytes).toBe(2500));
    await refused();
    writer.write(new TextEncoder().encode(" ".repeat(2501))).catch(() => {});
    expect((await slow).status).toBe(429);
    expect(small.bodies.bytes).toBe(0);

    const leave = await small.admission.enter(new AbortController().signal);
    const first = post(large);
    await vi.waitFor(() => expect(small.admission.waiting).toBe(1));
    await refused();
    leave();
    expect((await first).status).toBe(200);
    expect((await post(large)).status).toBe(200);
    expect((await post("{")).status).toBe(400);
    expect(small.bodies.bytes).toBe(0);
    await small.pool.dispose();
  });

  test("a request that takes too long ends with what was said", async () => {
    const { service: hasty } = demoService({ deadlineMs: 400 });
    await hasty.warmUp();
    const app = createApp(hasty);
    const init = { method: "POST", headers: { "Content-Type": "application/json" } };
    const ask = async (more: object): Promise<Response> =>
      app.request("http://x/v1/chat/completions", { ...init, body: JSON.stringify({ ...LONG, ...more }) });
    const late = await ask({});
    expect(late.status).toBe(504);
    expect(await late.json()).toMatchObject({ error: { code: "timeout" } });
    const text = await (await ask({ stream: true })).text();
    expect(text).toContain('"content":');
    expect(text.trimEnd()).toMatch(/"code":"timeout"\}\}$/);
    expect(hasty.admission.running).toBe(0);
    await hasty.pool.dispose();
  });
});

describe("several models", () => {
  test("are loaded when asked for; the least recently used makes room", async () => {
    const { service: several } = demoService(
      { modelBytes: 45e6 },
      { models: [demo("a"), demo("b"), demo("c")] },
    );
    const app = createApp(several);
    const ask = async (model: string): Promise<number> =>
      (
        await app.request("http://x/v1/chat/completions", {
          ...{ method: "POST", headers: { "Content-Type": "application/json" } },
          body: JSON.stringify(chatBody("Hello", [], { model, max_tokens: 1 })),
        })
      ).status;
    const loaded = (): string[] => several.pool.residents.map(({ id }) => id);
    expect(loaded()).toEqual([]);
    expect(await ask("b")).toBe(200);
    expect(await ask("a")).toBe(200);
    expect(loaded()).toEqual(["a", "b"]);
    expect(await ask("b")).toBe(200);
    expect(await Promise.all([ask("c"), ask("c")])).toEqual([200, 200]);
    expect(loaded()).toEqual(["b", "c"]);
    expect(await Promise.all([ask("a"), ask("b"), ask("c")])).toEqual([200, 200, 200]);
    expect(loaded().length).toBe(2);

    // However many ask for those that are there, the third has its turn.
    const there = loaded();
    const third = ["a", "b", "c"].find((id) => !there.includes(id)) as string;
    const acquire = (id: string): Promise<{ release: () => void }> =>
      several.pool.acquire(id, new AbortController().signal);
    const held: { release: () => void }[] = [];
    let came = false;
    const askForBoth = async (): Promise<void> => {
      for (const id of there) void acquire(id).then((next) => (came ? next.release() : held.push(next)));
      await new Promise((resolve) => setTimeout(resolve, 5));
      for (const { release } of held.splice(0, came ? held.length : held.length - 4)) release();
    };
    await askForBoth();
    const turn = acquire(third).then(({ release }) => {
      came = true;
      release();
    });
    for (let i = 0; i < 4000 && !came; i++) await askForBoth();
    expect(came).toBe(true);
    await Promise.all([turn, askForBoth()]);
    await several.pool.dispose();
  });

  test("one that cannot be loaded says nothing of where it lies", async () => {
    const broken = { ...demo("broken"), load: () => Promise.reject(new Error("/secret/place/config.json")) };
    const { service: failing, lines } = demoService({}, { models: [broken] });
    await expect(failing.warmUp()).rejects.toThrow();
    expect(failing.state).toBe("failed");
    const response = await createApp(failing).request("http://x/v1/chat/completions", {
      ...{ method: "POST", headers: { "Content-Type": "application/json" } },
      body: JSON.stringify(chatBody("Hello", [], { model: "broken" })),
    });
    expect(response.status).toBeGreaterThanOrEqual(500);
    expect(await response.text()).not.toContain("secret");
    expect(JSON.stringify(lines)).toContain("/secret/place");
  });

  test("one that cannot be loaded does not drive out the others again and again", async () => {
    const load = vi.fn(() => Promise.reject(new Error("damaged")));
    const broken = { ...demo("broken"), estimate: async () => 1e12, load };
    const { service: both } = demoService({ modelBytes: 45e6 }, { models: [demo("a"), broken] });
    await both.warmUp();
    const { signal } = new AbortController();
    const refused = expect.objectContaining({ status: 503, headers: { "Retry-After": "10" } });
    await expect(both.pool.acquire("broken", signal)).rejects.toEqual(refused);
    expect(both.state).toBe("ok");
    (await both.pool.acquire("a", signal)).release();
    await expect(both.pool.acquire("broken", signal)).rejects.toEqual(refused);
    expect(both.pool.residents.map(({ id }) => id)).toEqual(["a"]);
    expect(load).toHaveBeenCalledOnce();
    await both.pool.dispose();
  });
});

describe("the process", () => {
  const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

  /** Starts `llava serve`; resolves with its address when it listens. */
  async function start(...args: string[]): Promise<{ child: ChildProcess; url: string }> {
    const child = spawn("node", [MAIN, "serve", "--port", "0", ...args], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    const url = await new Promise<string>((resolve, reject) => {
      child.stderr?.on("data", (data) => {
        said += data;
        const found = /http:\/\/\S+/.exec(said);
        if (found) resolve(found[0]);
      });
      child.once("exit", () => reject(new Error(said)));
    });
    while ((await fetch(`${url}/health`)).status !== 200)
      await new Promise((resolve) => setTimeout(resolve, 50));
    return { child, url };
  }

  test("SIGTERM, also repeated: what runs is finished, nothing new is taken, exit code 0", async () => {
    const { child, url } = await start("--threads", "1");
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    const remote = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
    const stream = await remote.chat.completions.create({
      ...{ model: "llava-demo", messages: [{ ...user, content }], stream: true },
    });
    let text = "";
    for await (const chunk of stream) {
      if (text === "") child.kill("SIGTERM");
      text += chunk.choices[0].delta.content ?? "";
    }
    expect(text).toBe(answer);
    expect(await ended).toBe(0);
    await expect(fetch(`${url}/health`)).rejects.toThrow();
  });

  /** Runs `llava serve` to its end: the exit code, and what it says on standard error. */
  async function serve(...args: string[]): Promise<[number | null, string]> {
    const child = spawn("node", [MAIN, "serve", "--port", ...args], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr?.on("data", (data) => (said += data));
    return [await new Promise((resolve) => child.once("close", resolve)), said];
  }

  test("wrong usage is one line and exit code 2", async () => {
    const [code, said] = await serve("99999");
    expect(code).toBe(2);
    expect(said.trim().split("\n").length).toBe(1);
    expect(said).toContain("--port");
  });

  test("a first model that cannot be loaded ends it, and it says why", async () => {
    const folder = fileURLToPath(new URL("../../checkpoints/llava-demo/pictures", import.meta.url));
    const [code, said] = await serve("0", "--model", folder, "--model", "llava-demo");
    expect(code).toBe(1);
    expect(said).toMatch(/^error: \S*llava-demo\/pictures: there is no /m);
  });
});

test("closing takes no new requests", async () => {
  const { service: closing } = demoService();
  closing.close();
  await expect(closing.begin("llava-demo", new AbortController().signal)).rejects.toBeInstanceOf(ApiError);
});
