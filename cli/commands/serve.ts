import { statSync } from "node:fs";
import { totalmem } from "node:os";
import { basename, resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { createApp } from "../../server/app.ts";
import { isLoopback } from "../../server/guards.ts";
import { DEFAULT_LIMITS, type Limits } from "../../server/limits.ts";
import { listen } from "../../server/listen.ts";
import type { ServedModel } from "../../server/model_pool.ts";
import { Service } from "../../server/service.ts";
import { modelInfo } from "../../src/index.ts";
import { UsageError } from "../errors.ts";
import { keepHeapSmall } from "../heap.ts";
import { loadModel } from "../model.ts";
import { addDeviceFlags, DEFAULT_MODEL, type ModelFlags, wholeNumber } from "../options.ts";

const EXAMPLES = `
Examples:
  llava serve
  llava serve --model llava-hf/llava-1.5-7b-hf --port 9000
  llava serve --model llava-demo --model ./my-checkpoint --memory 24
  llava serve --host 0.0.0.0 --api-key "$KEY"

OpenAI's protocol at http://127.0.0.1:8000/v1, a chat page at http://127.0.0.1:8000/.`;

interface ServeFlags extends Omit<ModelFlags, "model" | "json"> {
  model: string[];
  host: string;
  port: number;
  apiKey?: string;
  allowImageHost: string[];
  corsOrigin: string[];
  maxRunning: number;
  maxQueue: number;
  timeout: number;
  memory: number;
}

/** Ends within 10 s, whatever runs. */
const GRACE_MS = 8000;

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
      wholeNumber(1),
      Math.max(1, Math.floor((0.75 * totalmem()) / 1e9)),
    );
  addDeviceFlags(command).addHelpText("after", EXAMPLES).action(serveModels);
}

async function serveModels(flags: ServeFlags): Promise<void> {
  if (flags.apiKey === "") throw new UsageError("--api-key: expected a key, got nothing");
  keepHeapSmall();
  const service = new Service({
    models: servedModels(flags),
    limits: limitsOf(flags),
    imageHosts: flags.allowImageHost,
    log: (line) => void process.stdout.write(`${JSON.stringify(line)}\n`),
  });
  const app = createApp(service, {
    apiKey: flags.apiKey,
    corsOrigins: flags.corsOrigin,
    loopbackOnly: isLoopback(flags.host),
  });
  const listening = await listen(service, app.fetch, flags);
  const say = (text: string): void => {
    if (!flags.quiet) process.stderr.write(`${text}\n`);
  };
  say(`llava serve: ${listening.url} (${service.pool.ids.join(", ")})`);
  if (!isLoopback(flags.host) && flags.apiKey === undefined) {
    say("llava serve: anybody who reaches this machine can ask; --api-key keeps others out");
  }
  const stopped = stopSignal();
  const failed = service.warmUp().then(() => say("llava serve: ready"));
  await Promise.race([stopped, failed.then(() => stopped)]);
  await listening.close(GRACE_MS);
  process.exit(0);
}

/** Resolves at SIGTERM or Ctrl-C. A second Ctrl-C ends the process at once. */
function stopSignal(): Promise<void> {
  return new Promise((stop) => {
    process.on("SIGTERM", () => stop());
    process.once("SIGINT", () => {
      process.once("SIGINT", () => process.exit(130));
      stop();
    });
  });
}

function limitsOf({ maxRunning, maxQueue, timeout, memory }: ServeFlags): Limits {
  return {
    ...DEFAULT_LIMITS,
    running: maxRunning,
    queued: maxQueue,
    deadlineMs: timeout * 1000,
    modelBytes: memory * 1e9,
  };
}

/** A folder is called by its own name: clients need not know where it lies. */
function servedModels(flags: ServeFlags): ServedModel[] {
  const names = [...new Set(flags.model.length > 0 ? flags.model : [DEFAULT_MODEL])];
  const models = names.map((name): ServedModel => {
    const isFolder = statSync(name, { throwIfNoEntry: false })?.isDirectory() ?? false;
    return {
      id: isFolder ? basename(resolve(name)) : name,
      aliases: isFolder ? [name] : [],
      estimate: () => estimate(name, flags),
      load: () => loadModel({ ...flags, model: name, json: false }),
    };
  });
  const twice = models.find(({ id }, i) => models.findIndex((other) => other.id === id) < i);
  if (twice) throw new UsageError(`--model: two models would be called ${twice.id}`);
  return models;
}

async function estimate(name: string, { dtype }: ServeFlags): Promise<number> {
  const info = await modelInfo(name);
  const kept = dtype === "auto" ? info.dtype : dtype;
  return info.weights_bytes[kept as "float32" | "float16" | "bfloat16"] ?? info.weights_bytes.float32;
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
