import { type ChildProcess, execFile, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The command line as `npm install` has built it. */
export const MAIN = join(ROOT, "dist/cli/main.js");
export const PICTURES = join(ROOT, "checkpoints/llava-demo/pictures");

const env = { ...process.env, NO_COLOR: "1", HF_HUB_OFFLINE: "1" };

export interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

/**
 * Runs the built command line.
 *
 * @param maxFileBytes no file may be longer: writing fails there as on a full disk. A multiple of 512
 * @param set more of the environment; undefined: not set
 */
export function llava(
  args: string[],
  {
    input = "",
    maxFileBytes,
    set = {},
  }: { input?: string; maxFileBytes?: number; set?: NodeJS.ProcessEnv } = {},
): Promise<Result> {
  const plain = ["node", MAIN, ...args];
  // A shell can set the limit; ignored, the signal that goes with it leaves an error.
  const limited = `trap '' XFSZ; ulimit -f ${(maxFileBytes ?? 0) / 512}; exec "$@"`;
  const [file, ...rest] = maxFileBytes === undefined ? plain : ["sh", "-c", limited, "sh", ...plain];
  return new Promise((resolve) => {
    const child = execFile(file, rest, { env: { ...env, ...set } }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
    child.stdin?.end(input);
  });
}

/** Starts the built command line, to be ended by a signal. */
export function startLlava(args: string[]): ChildProcess {
  return spawn(process.execPath, [MAIN, ...args], { env, stdio: ["ignore", "ignore", "pipe"] });
}

/** The signal or the code that a process ended with. */
export function ended(child: ChildProcess): Promise<string | number | null> {
  return new Promise((done) => child.once("exit", (code, signal) => done(signal ?? code)));
}

/** What is wrong in one line: no stack, no second line. */
export function expectOneLine(result: Result, code: number, text: RegExp): void {
  expect(result.stderr).toMatch(text);
  expect(result.stderr.trim().split("\n").length).toBe(1);
  expect(result.stdout).toBe("");
  expect(result.code).toBe(code);
}

interface RecordedConversation {
  question: string;
  answer: string;
}

const recorded = JSON.parse(await readFile(join(PICTURES, "pictures.json"), "utf8")) as {
  pictures: { file: string; conversations: RecordedConversation[][] }[];
  pairs: { files: string[]; conversations: RecordedConversation[][] }[];
};

/** First questions about the bundled pictures, with what Transformers answered (float32, greedy). */
export const QUESTIONS: readonly { images: string[]; prompt: string; answer: string }[] = [
  ...recorded.pictures.map(({ file, conversations }) => ({ files: [file], conversations })),
  ...recorded.pairs,
].flatMap(({ files, conversations }) =>
  conversations.map(([{ question, answer }]) => ({
    images: files.map((file) => join(PICTURES, file)),
    prompt: question,
    answer,
  })),
);

/** The records of a file of lines, all of them whole. */
export async function readLines(path: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(path, "utf8");
  expect(text === "" || text.endsWith("\n")).toBe(true);
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Waits until a file has at least so many whole lines. */
export async function untilLines(path: string, count: number): Promise<void> {
  for (;;) {
    const text = await readFile(path, "utf8").catch(() => "");
    if (text.split("\n").length > count) return;
    await new Promise((done) => setTimeout(done, 5));
  }
}
