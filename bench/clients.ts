// What do eight clients get that one does not? `llava serve`, as built, answers the same questions to one client, then to
// eight at once, in turns; answers must be equal.
//
//   npm run build && node --import ./scripts/typescript.mjs bench/clients.ts [rounds] [more flags of llava serve]
//
// Prints tokens a second of one and of eight, and how many times more that is: the median of the rounds.
import { demoServer } from "./demo_server.ts";

const [rounds = "5", ...flags] = process.argv.slice(2);
const AT_ONCE = 8;
const QUESTIONS = ["Describe this picture.", "What is in the middle?", "Is there a cat?", "What do you see?"];
const { server, url, pictures } = await demoServer(flags);
const all = pictures.flatMap((picture) => QUESTIONS.map((question) => ({ picture, question })));
const expected = await Promise.all(all.map(async (one) => (await ask(one)).text));
const times: number[] = [];
for (let round = 0; round < Number(rounds); round++) {
  const [one, eight] = [await speed(1), await speed(AT_ONCE)];
  times.push(eight / one);
  console.log(`one ${one.toFixed(0)} tokens/s\teight ${eight.toFixed(0)}\t${(eight / one).toFixed(2)} times`);
}
console.log(`median: ${times.sort((a, b) => a - b)[times.length >> 1].toFixed(2)} times`);
server.kill("SIGTERM");

/** Tokens a second of all clients together; every client asks all questions, beginning at another. */
async function speed(clients: number): Promise<number> {
  const begun = performance.now();
  const counts = await Promise.all(Array.from({ length: clients }, (_, c) => client(c)));
  const tokens = counts.reduce((sum, count) => sum + count, 0);
  return (tokens * 1000) / (performance.now() - begun);
}

async function client(number: number): Promise<number> {
  let tokens = 0;
  for (let i = 0; i < all.length; i++) {
    const q = (i + 2 * number) % all.length;
    const { text, count } = await ask(all[q]);
    if (text !== expected[q]) throw new Error(`${text}\nis not\n${expected[q]}`);
    tokens += count;
  }
  return tokens;
}

async function ask({ picture, question }: (typeof all)[number]): Promise<{ text: string; count: number }> {
  const content = [
    { type: "image_url", image_url: { url: picture } },
    { type: "text", text: question },
  ];
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ model: "llava-demo", messages: [{ role: "user", content }] }),
  });
  const { choices, usage } = (await response.json()) as {
    choices: { message: { content: string } }[];
    usage: { completion_tokens: number };
  };
  return { text: choices[0].message.content, count: usage.completion_tokens };
}
