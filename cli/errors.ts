import { CommanderError } from "commander";
import { LlavaError } from "../src/index.ts";

/** Wrong usage: exit code 2. Stopped by a signal: 130. Everything else that fails: 1. */
export class UsageError extends Error {}

/** Ctrl-C before there was anything to finish. */
function isStop(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** The exit code for what was thrown. */
export function exitCode(error: unknown): number {
  if (isStop(error)) return 130;
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  return error instanceof UsageError ? 2 : 1;
}

/** A text whose line breaks are spaces. */
export function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, " ");
}

/** One readable line; with `verbose` the stack below it. Undefined where commander has said it already. */
export function errorText(error: unknown, verbose: boolean): string | undefined {
  if (error instanceof CommanderError) return undefined;
  if (isStop(error)) return "stopped";
  const isError = error instanceof Error;
  const known = error instanceof LlavaError || error instanceof UsageError;
  const message = isError ? error.message : String(error);
  const text = known || !isError ? message : `${error.name}: ${message}`;
  const line = `error: ${oneLine(text)}`;
  return verbose && isError && error.stack ? `${line}\n${error.stack}` : line;
}
