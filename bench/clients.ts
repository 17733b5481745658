// What do eight clients get that one does not? `llava serve`, as built, is asked by one client, then by eight at once, in
// turns, in several ways. Answers to the same question must be equal, whoever else asks, streamed and whole.
//
//   npm run build && node --import ./scripts/typescript.mjs bench/clients.ts [rounds] [part of a line] [flags of llava serve]
//
// A line for each workload: tokens a second of one and of eight, and how many times more that is; medians of the rounds.
import { readFile } from "node:fs/promises";
import sharp from "sharp";
import { demoServer } from "./demo_server.ts";

const [rounds = "5", only = "", ...flags] = process.argv.slice(2);
const AT_ONCE = 8;
/** Requests of each client in a round. */
const EACH = 4;
const QUESTIONS = ["Describe this picture.", "What is in the middle?", "Is there a cat?", "What do you see?"];
/** Long answers: the token that ends a text is forbidden. */
const LENGTHS = { short: {}, long: { max_tokens: 80, logit_bias: { 2: -100 } } };
const SENT = { whole: {}, streamed: { stream: true, stream_options: { include_usage: true } } };
const { server, url, pictures } = await demoServer(flags);
const garden = await readFile(new URL("../checkpoints/llava-demo/pictures/garden.jpg", import.meta.url));

interface Question {
  picture: string;
  text: string;
}
type Asked = (number: number) => Question | Promise<Question>;

/** What the request of a number asks. */
const ASKED: Record<string, Asked> = {
  same: () => ({ picture: pictures[0], text: QUESTIONS[0] }),
  several: (number) => ({ picture: pictures[(number >> 2) % 4], text: QUESTIONS[number % 4] }),
  new: async () => ({ picture: await newPicture(), text: QUESTIONS[0] }),
};
let made = 0;
const answers = new Map<string, string>();

console.log("asked    answers  sent      one: tokens/s  eight  times");
for (const [asked, question] of Object.entries(ASKED))
  for (const [length, settings] of Object.entries(LENGTHS))
    for (const [sent, how] of Object.entries(SENT)) {
      const name = asked.padEnd(9) + length.padEnd(9) + sent.padEnd(10);
      if (name.includes(only)) await compare(name, question, { ...settings, ...how });
    }
server.kill("SIGTERM");

async function compare(name: string, asked: Asked, request: object): Promise<void> {
  await speed(1, asked, request);
  await speed(AT_ONCE, asked, request);
  const runs: [one: number, eight: number][] = [];
  for (let round = 0; round < Number(rounds); round++) {
    runs.push([await speed(1, asked, request), await speed(AT_ONCE, asked, request)]);
  }
  const one = median(runs.map(([one]) => one)).toFixed(0);
  const eight = median(runs.map(([, eight]) => eight)).toFixed(0);
  const times = median(runs.map(([one, eight]) => eight / one)).toFixed(2);
  console.log(name + one.padStart(13) + eight.padStart(7) + times.padStart(7));
}

/** Tokens a second of all clients together. */
async function speed(clients: number, asked: Asked, request: object): Promise<number> {
  const questions = await Promise.all(Array.from({ length: clients * EACH }, (_, number) => asked(number)));
  const begun = performance.now();
  const counts = await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      let tokens = 0;
      for (let i = 0; i < EACH; i++) tokens += await ask(questions[client * EACH + i], request);
      return tokens;
    }),
  );
  const seconds = (performance.now() - begun) / 1000;
  // What was asked for the first time has an answer to be compared with now.
  await ask(questions[0], request);
  return counts.reduce((sum, count) => sum + count, 0) / seconds;
}

/** -> tokens of the answer */
async function ask({ picture, text }: Question, request: object): Promise<number> {
  const content = [
    { type: "image_url", image_url: { url: picture } },
    { type: "text", text },
  ];
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ model: "llava-demo", messages: [{ role: "user", content }], ...request }),
  });
  const { answer, tokens } = read(await response.text());
  const key = [picture, text, "logit_bias" in request].join();
  if ((answers.get(key) ?? answer) !== answer) throw new Error(`${answer}\nis not\n${answers.get(key)}`);
  answers.set(key, answer);
  return tokens;
}

interface Reply {
  choices: { message?: { content: string }; delta?: { content?: string } }[];
  usage?: { completion_tokens: number };
}

/** A whole answer, or what is left of a streamed one. */
function read(body: string): { answer: string; tokens: number } {
  const chunks = body.startsWith("{")
    ? [body]
    : body.split("\n\n").map((event) => event.slice("data: ".length));
  const replies = chunks.filter((chunk) => chunk.startsWith("{")).map((chunk): Reply => JSON.parse(chunk));
  const parts = replies.flatMap(({ choices }) => choices).map(({ message, delta }) => message ?? delta);
  const tokens = replies.at(-1)?.usage?.completion_tokens;
  if (tokens === undefined) throw new Error(body);
  return { answer: parts.map((part) => part?.content ?? "").join(""), tokens };
}

/** A part of a picture that nobody has seen. */
async function newPicture(): Promise<string> {
  const [left, top] = [made % 32, Math.floor(made++ / 32)];
  const part = sharp(garden).extract({ left, top, width: 320, height: 240 });
  return `data:image/jpeg;base64,${(await part.jpeg().toBuffer()).toString("base64")}`;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1];
}
