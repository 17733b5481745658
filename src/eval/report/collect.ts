// The runs in a folder, with their figures and some of their answers.

import { readdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Benchmark, Item, PictureFile } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { FACTS_FILE, type RunFacts, readFacts } from "../facts.ts";
import { field } from "../fields.ts";
import { isFile, readRows } from "../files.ts";
import { pythonText } from "../python/json.ts";
import { BENCHMARKS, findBenchmark } from "../registry.ts";
import { readScore, SCORE_FILE, type ScoreRecord } from "./record.ts";

/** An item without a verdict: its benchmark was not scored here. */
export type ShownItem = Omit<Item, "score"> & { score: number | null; picture: PictureFile | null };

/** One file of answers. */
export interface ReportedRun {
  benchmark: Benchmark;
  /** The answers' file, from the report's folder. */
  name: string;
  /** The name in its answer lines; null where they have none. */
  model: string | null;
  facts: RunFacts | null;
  score: ScoreRecord | null;
  /** The items that are shown, of `count`. */
  items: ShownItem[];
  count: number;
}

/** How deep below the folder runs are looked for. */
const DEPTH = 4;

/**
 * Finds the side files of `run` and the records of `score` and `judge` in a folder.
 *
 * @param limit how many items of a run are shown; as many wrong as right ones where there are
 */
export async function collectRuns(folder: string, limit: number): Promise<ReportedRun[]> {
  const found = new Map<string, { facts: RunFacts | null; score: ScoreRecord | null; from: string }>();
  const at = (answers: string, from: string) => {
    const entry = found.get(answers) ?? { facts: null, score: null, from };
    found.set(answers, entry);
    return entry;
  };
  for (const path of await walk(folder, DEPTH)) {
    if (path.endsWith(FACTS_FILE))
      at(resolve(path.slice(0, -FACTS_FILE.length)), path).facts = await readFacts(path);
    if (path.endsWith(SCORE_FILE)) {
      const score = await readScore(path);
      at(resolve(dirname(path), score.answers), path).score = score;
    }
  }
  const runs = [...found].map(([answers, { facts, score, from }]) =>
    reportedRun(answers, facts, score, { folder: dirname(from), limit, root: resolve(folder) }),
  );
  const order = ({ benchmark }: ReportedRun) => BENCHMARKS.indexOf(benchmark);
  return (await Promise.all(runs)).sort((a, b) => order(a) - order(b) || (a.name < b.name ? -1 : 1));
}

async function walk(folder: string, depth: number): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new BenchmarkError(`${folder}: this folder cannot be read.`, { where: folder, cause });
  });
  const lists = entries.map(async (entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return depth > 0 ? walk(path, depth - 1) : [];
    return entry.isFile() ? [path] : [];
  });
  return (await Promise.all(lists)).flat().sort();
}

async function reportedRun(
  answers: string,
  facts: RunFacts | null,
  score: ScoreRecord | null,
  { folder, limit, root }: { folder: string; limit: number; root: string },
): Promise<ReportedRun> {
  const benchmark = findBenchmark(score?.benchmark ?? facts?.benchmark ?? "");
  const all = score === null ? await unscored(answers) : score.items;
  const shown = choose<Omit<Item, "score"> & { score: number | null }>(all, limit);
  const questions = facts?.questions ?? score?.questions ?? null;
  const images = facts?.images ?? score?.images ?? null;
  const pictures =
    questions === null
      ? new Map<string, PictureFile>()
      : await picturesOf(
          benchmark,
          resolve(folder, questions),
          images === null ? undefined : resolve(folder, images),
        );
  return {
    benchmark,
    model: await modelOf(answers),
    name: answers.startsWith(root) ? answers.slice(root.length + 1) : answers,
    facts,
    score,
    items: shown.map((item) => ({ ...item, picture: pictures.get(item.id) ?? null })),
    count: all.length,
  };
}

async function unscored(answers: string) {
  if (!(await isFile(answers))) return [];
  return (await readRows(answers)).map((answer) => ({
    id: pythonText(field(answer, "question_id")),
    group: "",
    question: pythonText(field(answer, "prompt")).replace(/^<image>\n/, ""),
    answer: pythonText(field(answer, "text")),
    expected: "",
    score: null,
  }));
}

/** The model that the first answer line names. */
async function modelOf(answers: string): Promise<string | null> {
  try {
    const [first] = await readRows(answers);
    const model = first?.value.get("model_id");
    return typeof model === "string" ? model : null;
  } catch (error) {
    // What was scored may be something else than answer lines: task files, reviews, grades.
    if (error instanceof BenchmarkError) return null;
    throw error;
  }
}

/** Up to `limit` items, spread evenly, half of them not right if there are that many; in their order. */
function choose<T extends { score: number | null }>(items: readonly T[], limit: number): T[] {
  if (items.length <= limit) return [...items];
  const right = items.filter(({ score }) => score === 1);
  const other = items.filter(({ score }) => score !== 1);
  const half = Math.ceil(limit / 2);
  const others = Math.min(other.length, Math.max(half, limit - right.length));
  const chosen = new Set([...spread(other, others), ...spread(right, limit - others)]);
  return items.filter((item) => chosen.has(item));
}

function spread<T>(items: readonly T[], n: number): T[] {
  return Array.from({ length: n }, (_, i) => items[Math.floor((i * items.length) / n)]);
}

/** Pictures by the question's id. Questions that cannot be read have none. */
async function picturesOf(
  benchmark: Benchmark,
  questions: string,
  images: string | undefined,
): Promise<Map<string, PictureFile>> {
  const pictures = new Map<string, PictureFile>();
  if (!(await isFile(questions))) return pictures;
  for (const entry of await benchmark.questions({ questions, images })) {
    for (const make of entry) {
      const question = make();
      if (question.picture !== null) pictures.set(pythonText(question.id), question.picture);
    }
  }
  return pictures;
}
