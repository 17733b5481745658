// Does a server's memory stay level? `llava serve`, as built, answers many small requests, eight at a time: every eighth
// has one of four pictures, the others each a text of their own.
//
//   npm run build && node --import ./scripts/typescript.mjs bench/soak.ts [requests] [more flags of llava serve]
//
// Prints the server's own figures after every thousand, in MiB, and when nothing has been asked for eight seconds.
import { setTimeout as after } from "node:timers/promises";
import { demoServer } from "./demo_server.ts";

const [requests = "10000", ...flags] = process.argv.slice(2);
const AT_ONCE = 8;
const { server, url, pictures } = await demoServer(flags);
const begun = performance.now();
let next = 0;
let answered = 0;
await Promise.all(Array.from({ length: AT_ONCE }, client));
await after(8000);
await show("idle");
server.kill("SIGTERM");

async function client(): Promise<void> {
  while (next < Number(requests)) {
    await ask(next++);
    if (++answered % 1000 === 0) await show(String(answered));
  }
}

async function ask(i: number): Promise<void> {
  const picture = { type: "image_url", image_url: { url: pictures[(i / 8) % pictures.length] } };
  const content =
    i % 8 === 0 ? [picture, { type: "text", text: "Is there a cat?" }] : `This is number ${i} of many.`;
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ model: "llava-demo", max_tokens: 4, messages: [{ role: "user", content }] }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
}

async function show(when: string): Promise<void> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const figure = (name: string): string =>
    (Number(new RegExp(`^${name} (\\S+)`, "m").exec(text)?.[1]) / 2 ** 20).toFixed(1);
  const seconds = ((performance.now() - begun) / 1000).toFixed(0);
  const heap = `${figure("nodejs_heap_size_used_bytes")} of ${figure("nodejs_heap_size_total_bytes")}`;
  const resident = figure("process_resident_memory_bytes");
  const external = figure("nodejs_external_memory_bytes");
  const model = figure("llava_model_bytes");
  console.log(
    `${when}\t${seconds} s\tresident ${resident}\theap ${heap}\texternal ${external}\tmodel ${model}`,
  );
}
