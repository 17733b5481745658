/**
 * A signal that Ctrl-C sets off: the first one stops what runs, a second one ends the process.
 *
 * @param signals what else sets it off
 * @returns `done`: to be called when nothing runs that could be stopped
 */
export function interruptible(signals: NodeJS.Signals[] = []): { signal: AbortSignal; done: () => void } {
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort(new DOMException("stopped", "AbortError"));
  };
  const all = ["SIGINT", ...signals];
  for (const signal of all) process.on(signal, interrupt);
  const done = (): void => {
    for (const signal of all) process.off(signal, interrupt);
  };
  return { signal: controller.signal, done };
}
