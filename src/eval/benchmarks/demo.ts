import { count, latest } from "../answers.ts";
import type { Benchmark, Files, Item, Printer, Scored } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { idText, keyField, textField } from "../fields.ts";
import { readRows } from "../files.ts";
import { fixed } from "../python/numbers.ts";
import { questionLines } from "../questions.ts";

/** Pictures of the little world that the bundled checkpoint knows, made by `scripts/demo/benchmark.py`. */
export const demo: Benchmark = {
  name: "demo",
  title: "Demo world",
  figure: "answers right word for word, %",
  best: 100,
  published: null,
  maxNewTokens: 80,
  questions: questionLines,
  scorer: { needs: ["annotations"], score },
};

interface Label {
  id: string;
  /** The id as the report shows it. */
  name: string;
  /** Which pictures: drawn in the styles of the training, or in another. */
  set: string;
  kind: string;
  answer: string;
}

interface Cell {
  right: number;
  total: number;
}

async function score({ answers, annotations = "" }: Files, printer: Printer): Promise<Scored> {
  const labels = (await readRows(annotations)).map(
    (row): Label => ({
      id: keyField(row, "question_id"),
      name: idText(row),
      set: textField(row, "set"),
      kind: textField(row, "kind"),
      answer: textField(row, "answer"),
    }),
  );
  if (labels.length === 0) throw new BenchmarkError(`${annotations}: there are no questions.`);
  const replies = latest(await readRows(answers), printer);
  const items = labels.map((label): Item => {
    const reply = replies.get(label.id);
    const answer = reply === undefined ? null : textField(reply, "text");
    return {
      id: label.name,
      group: `${label.set}: ${label.kind}`,
      question: "",
      answer,
      expected: label.answer,
      score: answer === label.answer ? 1 : 0,
    };
  });
  const missing = items.filter(({ answer }) => answer === null).length;
  if (missing > 0) printer.warn(`${count(missing, "question")} without an answer, counted as wrong`);
  const table = tableOf(labels, items);
  printer.print(rendered(table));
  const [first] = labels;
  const own = items.filter((_, i) => labels[i].set === first.set);
  return {
    scores: Object.fromEntries([...table].map(([kind, cells]) => [kind, Object.fromEntries(cells)])),
    figure: (100 * own.filter(({ score }) => score === 1).length) / own.length,
    parts: [...table].flatMap(([kind, cells]) =>
      [...cells].map(([set, { right, total }]) => ({
        name: `${set}: ${kind}`,
        value: (100 * right) / total,
        count: total,
      })),
    ),
    items,
  };
}

/** Kind of question -> set of pictures -> how many were right; both in the order of the labels. */
function tableOf(labels: readonly Label[], items: readonly Item[]): Map<string, Map<string, Cell>> {
  const table = new Map<string, Map<string, Cell>>();
  for (const [i, { kind, set }] of labels.entries()) {
    const row = table.get(kind) ?? new Map<string, Cell>();
    const cell = row.get(set) ?? { right: 0, total: 0 };
    cell.right += items[i].score;
    cell.total++;
    table.set(kind, row.set(set, cell));
  }
  return table;
}

/** The table in Markdown, as the README has it. */
function rendered(table: Map<string, Map<string, Cell>>): string {
  const sets = [...new Set([...table.values()].flatMap((cells) => [...cells.keys()]))];
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |\n`;
  const rows = [...table].map(([kind, cells]) => line([kind, ...sets.map((set) => share(cells.get(set)))]));
  return [line(["", ...sets]), `|---|${"---:|".repeat(sets.length)}\n`, ...rows].join("");
}

function share(cell: Cell | undefined): string {
  return cell === undefined ? "-" : `${fixed((100 * cell.right) / cell.total, 1)} % of ${cell.total}`;
}
