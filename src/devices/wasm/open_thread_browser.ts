import { UnsupportedError } from "../../base/errors.ts";
import { THREAD_SOURCE, type Thread, type ThreadAnswer, type ThreadEvents } from "./thread.ts";

const SOURCE = `${THREAD_SOURCE}(
  (hear) => { self.onmessage = ({ data }) => hear(data); },
  (answer) => self.postMessage(answer),
);`;

/** Why there are no threads, where that is so. */
export function noThreads(): string | undefined {
  if (globalThis.crossOriginIsolated && typeof Worker === "function") return undefined;
  return "the page is not cross-origin isolated, so that threads cannot share memory";
}

/** Threads to be used where nobody says how many: a browser tells those of the processor, which may share cores. */
export function defaultThreads(): number {
  const threads = navigator.hardwareConcurrency || 1;
  return threads > 2 ? Math.ceil(threads / 2) : threads;
}

/** A Web Worker. */
export function openThread(name: string, events: ThreadEvents): Thread {
  const url = URL.createObjectURL(new Blob([SOURCE], { type: "text/javascript" }));
  const worker = new Worker(url, { name });
  worker.onmessage = ({ data }: MessageEvent<ThreadAnswer>) => {
    // Loaded by now: its address is needed no more.
    URL.revokeObjectURL(url);
    events.answer(data);
  };
  worker.onerror = ({ message }) =>
    events.ended(
      new UnsupportedError(`a compute thread cannot run: ${message || "the page forbids workers"}`),
    );
  return {
    post: (message) => worker.postMessage(message),
    hold: () => {},
    end: async () => worker.terminate(),
  };
}
