import { statSync } from "node:fs";
import { basename, resolve } from "node:path";
import { createApp } from "../server/app.ts";
import { isLoopback } from "../server/guards.ts";
import { DEFAULT_LIMITS, type Limits } from "../server/limits.ts";
import { listen } from "../server/listen.ts";
import type { ServedModel } from "../server/model_pool.ts";
import { Service } from "../server/service.ts";
import { modelInfo } from "../src/index.ts";
import { UsageError } from "./errors.ts";
import { keepHeapSmall } from "./heap.ts";
import { loadModel } from "./model.ts";
import { DEFAULT_MODEL, type ModelFlags } from "./options.ts";

export interface ServeFlags extends Omit<ModelFlags, "model" | "json"> {
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

/** Serves until SIGTERM or Ctrl-C, and ends the process. */
export async function serveModels(flags: ServeFlags): Promise<void> {
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
  const ready = service.warmUp().then(() => say("llava serve: ready"));
  try {
    await Promise.race([stopped, ready.then(() => stopped)]);
  } catch (error) {
    await listening.close(0);
    throw error;
  }
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
