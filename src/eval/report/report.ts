import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { OptionError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import { BenchmarkError } from "../errors.ts";
import { collectRuns } from "./collect.ts";
import { reportPage } from "./html.ts";
import { type TableRow, tableRow, terminalTable } from "./table.ts";
import { Thumbnails } from "./thumbnails.ts";

export interface ReportOptions {
  /** The page's file; `report.html` in the folder. */
  out?: string;
  /** How many items of a run the page shows; 200. */
  items?: number;
}

export interface ReportResult {
  /** The page's file. */
  page: string;
  /** The comparison for a terminal. */
  table: string;
  rows: TableRow[];
}

/**
 * Makes one page of the runs in a folder: those that `run` has made (by their side files) and those that `score` and
 * `judge` have kept with `save`. It needs no network to be read.
 *
 * @throws BenchmarkError where there are none
 */
export async function report(folder: string, options: ReportOptions = {}): Promise<ReportResult> {
  checkOptions("report", options, ["out", "items"]);
  const items = options.items ?? 200;
  if (!Number.isInteger(items) || items < 0) {
    throw new OptionError(`report: items must be a whole number, got ${items}.`, {
      where: "items",
      got: items,
    });
  }
  const runs = await collectRuns(folder, items);
  if (runs.length === 0) {
    throw new BenchmarkError(
      `${folder}: there are no runs here. "llava eval run" leaves them, and "llava eval score ... --save" their figures.`,
      { where: folder },
    );
  }
  const page = options.out ?? join(folder, "report.html");
  const html = await reportPage(runs, new Thumbnails());
  await mkdir(dirname(page), { recursive: true });
  await writeFile(page, html);
  return { page, table: terminalTable(runs), rows: runs.map(tableRow) };
}
