import { Worker } from "node:worker_threads";
import { UnsupportedError } from "../../base/errors.ts";
import { physicalCores } from "../cores_node.ts";
import { THREAD_SOURCE, type Thread, type ThreadAnswer, type ThreadEvents } from "./thread.ts";

const SOURCE = `const { parentPort } = require("node:worker_threads");
${THREAD_SOURCE}((hear) => parentPort.on("message", hear), (answer) => parentPort.postMessage(answer));`;

/** Why there are no threads, where that is so. */
export function noThreads(): string | undefined {
  return undefined;
}

/** Threads to be used where nobody says how many. */
export const defaultThreads = physicalCores;

/** A thread of Node. */
export function openThread(name: string, events: ThreadEvents): Thread {
  const worker = new Worker(SOURCE, { eval: true, execArgv: [], name });
  worker.on("message", (answer: ThreadAnswer) => events.answer(answer));
  worker.on("error", (error) => events.ended(error instanceof Error ? error : new Error(String(error))));
  worker.on("exit", () => events.ended(new UnsupportedError("a compute thread has ended unexpectedly")));
  // After the listeners, as they too keep the process alive.
  worker.unref();
  return {
    post: (message) => worker.postMessage(message),
    hold: (on) => (on ? worker.ref() : worker.unref()),
    end: async () => void (await worker.terminate()),
  };
}
