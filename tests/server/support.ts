import { readFile } from "node:fs/promises";
import type { createApp } from "../../server/app.ts";
import { DEFAULT_LIMITS, type Limits } from "../../server/limits.ts";
import type { ServedModel } from "../../server/model_pool.ts";
import { type LogLine, Service } from "../../server/service.ts";
import { AutoProcessor, LlavaForConditionalGeneration, modelInfo } from "../../src/index.ts";

const PICTURES = new URL("../../checkpoints/llava-demo/pictures/", import.meta.url);

/** The compiled chat page: `npm install` builds it. */
export const PAGE = new URL("../../dist/server/page/", import.meta.url);

/** What Transformers answered (float32, greedy) with the bundled checkpoint. */
export const recorded = JSON.parse(await readFile(new URL("pictures.json", PICTURES), "utf8")) as {
  pictures: { file: string; conversations: { question: string; answer: string }[][] }[];
  pairs: { files: string[]; conversations: { question: string; answer: string }[][] }[];
};

/** The first question about a picture, and its answer. */
export function firstTurn(file: string): { question: string; answer: string } {
  const found = recorded.pictures.find((picture) => picture.file === file);
  if (!found) throw new Error(`${file} has no recorded answer`);
  return found.conversations[0][0];
}

export async function dataUri(file: string): Promise<string> {
  const type = file.endsWith(".png") ? "png" : "jpeg";
  return `data:image/${type};base64,${(await readFile(new URL(file, PICTURES))).toString("base64")}`;
}

export function demo(id = "llava-demo"): ServedModel {
  return {
    id,
    estimate: async () => (await modelInfo("llava-demo")).weights_bytes.bfloat16,
    load: async () => ({
      model: await LlavaForConditionalGeneration.from_pretrained("llava-demo", { threads: 1 }),
      processor: await AutoProcessor.from_pretrained("llava-demo"),
    }),
  };
}

/** A service of the bundled model, and what it logs. */
export function demoService(
  limits: Partial<Limits> = {},
  more: { models?: ServedModel[]; imageHosts?: string[] } = {},
): { service: Service; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const service = new Service({
    models: more.models ?? [demo()],
    imageHosts: more.imageHosts,
    limits: { ...DEFAULT_LIMITS, ...limits },
    log: (line) => void lines.push(line),
  });
  return { service, lines };
}

export type Post = (path: string, body: unknown, init?: RequestInit) => Promise<Response>;

/** Asks an app without a port. A body that is a string goes as it is. */
export function poster(app: ReturnType<typeof createApp>): Post {
  return async (path, body, init = {}) =>
    app.request(`http://127.0.0.1${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: typeof body === "string" ? body : JSON.stringify(body),
      ...init,
    });
}

/** A chat request of one turn. */
export function chatBody(text: string, pictures: string[] = [], more: object = {}): Record<string, unknown> {
  const images = pictures.map((url) => ({ type: "image_url", image_url: { url } }));
  return {
    model: "llava-demo",
    messages: [{ role: "user", content: [...images, { type: "text", text }] }],
    ...more,
  };
}

/** The data of a response of server-sent events. */
export async function events(response: Response): Promise<string[]> {
  const text = await response.text();
  return text
    .split("\n\n")
    .filter((event) => event !== "")
    .map((event) => event.replace(/^data: /, ""));
}
