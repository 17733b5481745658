/** What the page sends and gets: OpenAI's protocol, of the server that the page comes from. */

export type Part = { type: "text"; text: string } | { type: "image_url"; image_url: { url: string } };

export interface Message {
  role: "user" | "assistant";
  content: string | Part[];
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
}

/** What the server says of itself. */
export interface Health {
  status: "loading" | "ok" | "failed" | "closing";
  models: { id: string; loaded: boolean; device?: string; dtype?: string }[];
}

/** The server's own words, and what it answered with. */
export class ServerError extends Error {
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

export async function health(): Promise<Health> {
  const response = await fetch("/page.json");
  return (await response.json()) as Health;
}

export interface AskOptions {
  model: string;
  messages: Message[];
  key: string;
  signal: AbortSignal;
  onText: (text: string) => void;
}

/** Asks, and hands the answer on as it comes. @throws ServerError; the signal's reason */
export async function ask({ model, messages, key, signal, onText }: AskOptions): Promise<Usage | undefined> {
  const response = await fetch("/v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}) },
    body: JSON.stringify({ model, messages, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  if (!response.ok || !response.body) throw new ServerError(await errorText(response), response.status);
  let usage: Usage | undefined;
  for await (const data of events(response.body)) {
    if (data === "[DONE]") break;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new ServerError(String(chunk.error.message), 500);
    const text = chunk.choices?.[0]?.delta?.content;
    if (text) onText(text);
    if (chunk.usage) usage = chunk.usage;
  }
  return usage;
}

/** The data of server-sent events. */
async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("data: ")) yield line.slice("data: ".length);
  }
}

async function errorText(response: Response): Promise<string> {
  try {
    return String((await response.json()).error.message);
  } catch {
    return `The server answered with status ${response.status}.`;
  }
}
