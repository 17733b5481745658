/**
 * A signal that Ctrl-C sets off: the first one stops what runs, a second one ends the process.
 *
 * @returns `done`: to be called when nothing runs that could be stopped
 */
export function interruptible(): { signal: AbortSignal; done: () => void } {
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort(new DOMException("stopped", "AbortError"));
  };
  process.on("SIGINT", interrupt);
  return { signal: controller.signal, done: () => void process.off("SIGINT", interrupt) };
}
