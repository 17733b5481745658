import { count as counted } from "../answers.ts";
import type { Published } from "../benchmark.ts";
import { fixed } from "../python/numbers.ts";
import type { ReportedRun } from "./collect.ts";

export const MODELS: readonly (keyof Published)[] = ["LLaVA-1.5 7B", "LLaVA-1.5 13B"];

/** One line of the comparison: texts, ready to be shown. */
export interface TableRow {
  benchmark: string;
  figure: string;
  published: string[];
  model: string;
  /** Preset, answers, what else one must know to read the figure. */
  note: string;
}

export function tableRow(run: ReportedRun): TableRow {
  const { benchmark, facts, score } = run;
  return {
    benchmark: benchmark.title,
    figure: score === null ? "-" : fixed(score.figure, 1),
    published: MODELS.map((model) =>
      benchmark.published === null ? "-" : fixed(benchmark.published[model], 1),
    ),
    model: facts?.model ?? run.model ?? run.name,
    note: notes(run).join(", "),
  };
}

function notes({ benchmark, facts, score, name, count }: ReportedRun): string[] {
  const action =
    benchmark.judge !== undefined ? "judge" : benchmark.scorer !== undefined ? "score" : "convert";
  return [
    benchmark.figure,
    facts === null ? counted(count, "answer") : `${facts.answered} of ${facts.total} answers`,
    ...(facts === null ? [] : [`preset ${facts.preset}`]),
    ...(facts?.chunk == null ? [] : [`part ${facts.chunk}`]),
    ...(score === null
      ? [`not scored: llava eval ${action} ${benchmark.name} --answers ${name} ... --save`]
      : []),
    ...(score !== null && score.warnings.length > 0 ? [counted(score.warnings.length, "warning")] : []),
  ];
}

/** The comparison for a terminal. */
export function terminalTable(runs: readonly ReportedRun[]): string {
  const header = ["Benchmark", "Model", "Figure", ...MODELS, ""];
  const rows = runs
    .map(tableRow)
    .map((row) => [row.benchmark, row.model, row.figure, ...row.published, row.note]);
  const widths = header.map((_, i) => Math.max(...[header, ...rows].map((row) => row[i].length)));
  const numeric = (i: number) => i >= 2 && i < header.length - 1;
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (numeric(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join("  ")
      .trimEnd();
  const rule = widths.slice(0, -1).map((width) => "-".repeat(width));
  return [header, rule, ...rows].map((row) => `${line(row)}\n`).join("");
}
