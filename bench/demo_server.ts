import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";

/** `llava serve`, as built, with the bundled checkpoint, and four of its pictures as data URIs. */
export async function demoServer(
  flags: readonly string[],
): Promise<{ server: ChildProcess; url: string; pictures: string[] }> {
  const root = new URL("..", import.meta.url).pathname;
  const server = spawn("node", [`${root}dist/cli/main.js`, "serve", "--port", "0", ...flags], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  while (!said.includes("ready")) said += (await once(server.stderr, "data"))[0];
  const found = /http:\/\/\S+/.exec(said);
  if (!found) throw new Error(said);
  const pictures = await Promise.all(
    ["garden", "beach", "night", "snow"].map(async (name) => {
      const bytes = await readFile(`${root}checkpoints/llava-demo/pictures/${name}.jpg`);
      return `data:image/jpeg;base64,${bytes.toString("base64")}`;
    }),
  );
  return { server, url: found[0], pictures };
}
