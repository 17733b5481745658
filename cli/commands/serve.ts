import { totalmem } from "node:os";
import { type Command, InvalidArgumentError, Option } from "commander";
import { DEFAULT_LIMITS } from "../../server/limits.ts";
import { aboveZero, addDeviceFlags, DEFAULT_MODEL, wholeNumber } from "../options.ts";
import type { ServeFlags } from "../serve.ts";

const EXAMPLES = `
Examples:
  llava serve
  llava serve --model llava-hf/llava-1.5-7b-hf --port 9000
  llava serve --model llava-demo --model ./my-checkpoint --memory 24
  llava serve --host 0.0.0.0 --api-key "$KEY"

OpenAI's protocol at http://127.0.0.1:8000/v1, a chat page at http://127.0.0.1:8000/.`;

export function addServe(program: Command): void {
  const command = program
    .command("serve")
    .summary("answer over HTTP, with a chat page")
    .description("Answers over HTTP as OpenAI does, and shows a chat page.")
    .addOption(
      new Option("-m, --model <name>", `what to serve; may be repeated (default: ${DEFAULT_MODEL})`)
        .env("LLAVA_MODEL")
        .argParser(several)
        .default([], DEFAULT_MODEL),
    )
    .option("--host <address>", "where to listen; 0.0.0.0: for other machines, too", "127.0.0.1")
    .option("--port <n>", "where to listen; 0: any free port", portNumber, 8000)
    .addOption(new Option("--api-key <key>", "clients must send this key").env("LLAVA_API_KEY"))
    .option("--allow-image-host <host>", "fetch pictures from this host; may be repeated", hosts, [])
    .option("--cors-origin <origin>", "let pages of this origin ask; may be repeated", several, [])
    .option("--max-running <n>", "requests computed together", wholeNumber(1), DEFAULT_LIMITS.running)
    .option("--max-queue <n>", "requests that may wait", wholeNumber(0), DEFAULT_LIMITS.queued)
    .option(
      "--timeout <seconds>",
      "longest time for a request",
      wholeNumber(1),
      DEFAULT_LIMITS.deadlineMs / 1000,
    )
    .option(
      "--memory <GB>",
      "what models may take together; those used least are unloaded (default: 3/4 of this machine's)",
      aboveZero,
      Math.max(1, Math.floor((0.75 * totalmem()) / 1e9)),
    );
  addDeviceFlags(command)
    .addHelpText("after", EXAMPLES)
    .action(async (flags: ServeFlags) => {
      // The server is read when it is wanted: the other commands start sooner without it.
      const { serveModels } = await import("../serve.ts");
      await serveModels(flags);
    });
}

function several(text: string, before: string[] = []): string[] {
  if (text.trim() === "") throw new InvalidArgumentError("Expected a name.");
  return [...before, text];
}

/** Every host is named: a pattern would be taken for a name that no address has. */
function hosts(text: string, before: string[] = []): string[] {
  if (!/^[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::\d{1,5})?$/i.test(text)) {
    throw new InvalidArgumentError("Expected one host, as images.example.com or cdn.example.com:8443.");
  }
  return [...before, text];
}

function portNumber(text: string): number {
  const port = wholeNumber(0)(text);
  if (port <= 65535) return port;
  throw new InvalidArgumentError("Expected a port, 0 to 65535.");
}
