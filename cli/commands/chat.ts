import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { LlavaError, load_image, type RawImage } from "../../src/index.ts";
import { Asker, type Turn } from "../answer.ts";
import { errColours, outColours } from "../colours.ts";
import { errorText, UsageError } from "../errors.ts";
import { interruptible } from "../interrupt.ts";
import { loadModel } from "../model.ts";
import { addGenerationFlags, type GenerationFlags } from "../options.ts";

const EXAMPLES = `
Examples:
  llava chat cat.jpg
  llava chat --model llava-hf/llava-1.5-7b-hf

In the conversation:
  /image PATH   shows a picture; the next question is about it, too
  /new          begins anew, without pictures
  /exit         ends (as Ctrl-D does); Ctrl-C stops an answer`;

const HELP = "/image PATH shows a picture, /new begins anew, /exit ends; Ctrl-C stops an answer";

export function addChat(program: Command): void {
  const command = program
    .command("chat")
    .summary("talk about pictures in the terminal")
    .description(
      "A conversation in the terminal. A picture is looked at once, however many questions follow.",
    )
    .argument("[image]", "a picture to begin with");
  addGenerationFlags(command)
    .addHelpText("after", EXAMPLES)
    .action((image: string | undefined, flags: GenerationFlags) => chat(image, flags));
}

async function chat(image: string | undefined, flags: GenerationFlags): Promise<void> {
  if (flags.json)
    throw new UsageError("chat: there is no --json; use `llava describe --json` for one answer");
  const first = image === undefined ? [] : [await load_image(image)];
  const loaded = await loadModel(flags);
  const conversation = new Conversation(new Asker(loaded, flags), first);
  const terminal = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: process.stdin.isTTY,
  });
  if (!flags.quiet) process.stderr.write(errColours.dim(`${HELP}\n`));
  terminal.setPrompt(outColours.bold("> "));
  terminal.prompt();
  // Ctrl-C at the prompt ends; during an answer it stops the answer (see Conversation.say).
  terminal.on("SIGINT", () => {
    if (conversation.answering) process.emit("SIGINT");
    else terminal.close();
  });
  for await (const line of terminal) {
    if (line.trim() === "/exit") break;
    try {
      await conversation.take(line.trim());
    } catch (error) {
      if (!(error instanceof LlavaError) && !isAbort(error)) throw error;
      process.stderr.write(`${isAbort(error) ? "(stopped)" : errorText(error, flags.verbose)}\n`);
    }
    terminal.prompt();
  }
  terminal.close();
  await loaded.model.dispose();
}

/** What has been said, and the pictures that the next question brings with it. */
class Conversation {
  answering = false;
  readonly #asker: Asker;
  #turns: Turn[] = [];
  #pictures: RawImage[];

  constructor(asker: Asker, pictures: RawImage[]) {
    this.#asker = asker;
    this.#pictures = pictures;
  }

  /** Takes a line: a command, or a question, which is answered. */
  async take(line: string): Promise<void> {
    if (line === "") return;
    if (line === "/new") {
      this.#turns = [];
      this.#pictures = [];
    } else if (line.startsWith("/image")) {
      const path = line.slice("/image".length).trim();
      this.#pictures.push(await load_image(path));
      process.stderr.write(errColours.dim(`${path}: seen\n`));
    } else if (line.startsWith("/")) process.stderr.write(`There is no ${line.split(" ")[0]}. ${HELP}\n`);
    else await this.#say(line);
  }

  async #say(text: string): Promise<void> {
    const content = [
      ...this.#pictures.map((image) => ({ type: "image" as const, image })),
      { type: "text" as const, text },
    ];
    const turns: Turn[] = [...this.#turns, { role: "user", content }];
    const { signal, done } = interruptible();
    this.answering = true;
    try {
      const answer = await this.#asker.ask(turns, (words) => void process.stdout.write(words), signal);
      this.#turns = [...turns, { role: "assistant", content: [{ type: "text", text: answer.text }] }];
      this.#pictures = [];
    } finally {
      process.stdout.write("\n");
      this.answering = false;
      done();
    }
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}
