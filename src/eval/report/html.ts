// The page: one file, no network, every text from outside escaped.

import { fixed } from "../python/numbers.ts";
import type { ReportedRun, ShownItem } from "./collect.ts";
import { SCRIPT, STYLE } from "./style.ts";
import { MODELS, tableRow } from "./table.ts";
import type { Thumbnails } from "./thumbnails.ts";

const VERDICTS = { right: "right", part: "partly right", wrong: "wrong", none: "not judged" } as const;
type Verdict = keyof typeof VERDICTS;

/** @param thumbnails gets the items' pictures */
export async function reportPage(runs: readonly ReportedRun[], thumbnails: Thumbnails): Promise<string> {
  const sections: string[] = [];
  for (const [index, run] of runs.entries()) sections.push(await section(run, index, thumbnails));
  const policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<link rel="icon" href="data:,">
<title>LLaVA benchmarks</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<div><h1>LLaVA benchmarks</h1>
<div class="dim">Beside the published figures of LLaVA-1.5. Made ${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC.</div></div>
<button id="theme" type="button">Light / dark</button>
</header>
${overview(runs)}
${sections.join("\n")}
<script type="application/json" id="pictures">${JSON.stringify(thumbnails.uris).replaceAll("<", "\\u003c")}</script>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

function overview(runs: readonly ReportedRun[]): string {
  const rows = runs.map((run, index) => {
    const row = tableRow(run);
    const cells = [row.figure, ...row.published]
      .map((cell) => `<td class="n">${escapeHtml(cell)}</td>`)
      .join("");
    const link = `<a href="#run-${index}">${escapeHtml(row.benchmark)}</a>`;
    return `<tr><td>${link}</td><td>${escapeHtml(row.model)}</td>${cells}<td class="dim">${escapeHtml(row.note)}</td></tr>`;
  });
  const heads = ["Figure", ...MODELS].map((name) => `<th class="n">${name}</th>`).join("");
  return `<div class="scroll"><table><thead><tr><th>Benchmark</th><th>Model</th>${heads}<th></th></tr></thead>
<tbody>${rows.join("\n")}</tbody></table></div>`;
}

async function section(run: ReportedRun, index: number, thumbnails: Thumbnails): Promise<string> {
  const { benchmark, score } = run;
  const cards: string[] = [];
  for (const item of run.items) cards.push(await card(item, thumbnails));
  const groups = [...new Set(run.items.map(({ group }) => group))].filter(Boolean).sort();
  const verdicts = [...new Set(run.items.map(verdictOf))];
  const counts =
    run.items.length < run.count ? ` of ${run.items.length} (chosen from ${run.count})` : ` of ${run.count}`;
  const figure = score === null ? "not scored" : `${fixed(score.figure, 1)} (${benchmark.figure})`;
  return `<section id="run-${index}" data-run="${index}">
<h2>${escapeHtml(benchmark.title)}: ${escapeHtml(figure)}</h2>
<div class="dim">${escapeHtml(factsLine(run))}</div>
${(score?.warnings ?? []).map((text) => `<div class="warning">${escapeHtml(text)}</div>`).join("\n")}
${bars(run)}
<div class="filters">
${filterButtons(verdicts)}
${categories(groups)}
<input type="search" placeholder="Search" aria-label="Search">
<span class="dim"><span class="shown">${run.items.length}</span>${counts} shown</span>
</div>
<div class="items">
${cards.join("\n")}
</div>
</section>`;
}

function categories(groups: readonly string[]): string {
  const options = groups.map((group) => `<option value="${escapeHtml(group)}">${escapeHtml(group)}</option>`);
  const hidden = groups.length === 0 ? " hidden" : "";
  return `<select aria-label="Category"${hidden}><option value="">all categories</option>${options.join("")}</select>`;
}

function factsLine({ name, facts }: ReportedRun): string {
  if (facts === null) return name;
  const call = Object.entries(facts.calls.at(-1) ?? {}).map(([key, value]) => `${key} ${value}`);
  return [name, `model ${facts.model}`, `preset ${facts.preset}`, ...call].join(" · ");
}

function bars({ score, benchmark }: ReportedRun): string {
  if (score === null || score.parts.length === 0) return "";
  // A task of MME is worth 200 points, a part of anything else 100.
  const full = benchmark.best === 100 ? 100 : 200;
  const lines = score.parts.map(({ name, value, count }) => {
    const width = Math.max(0, Math.min(100, (value / full) * 100));
    return `<div class="name">${escapeHtml(name)}</div><div class="track"><div class="fill" style="width:${width.toFixed(1)}%"></div></div><div class="n">${fixed(value, 1)} <span class="dim">(${count})</span></div>`;
  });
  return `<div class="bars">${lines.join("\n")}</div>`;
}

function filterButtons(verdicts: readonly Verdict[]): string {
  const kinds: [string, string][] = [["all", "All"]];
  for (const [verdict, label] of Object.entries(VERDICTS)) {
    if (verdicts.includes(verdict as Verdict)) kinds.push([verdict, label[0].toUpperCase() + label.slice(1)]);
  }
  return kinds
    .map(
      ([show, label]) =>
        `<button type="button" data-show="${show}" aria-pressed="${show === "all"}">${label}</button>`,
    )
    .join("\n");
}

function verdictOf({ score }: ShownItem): Verdict {
  if (score === null) return "none";
  if (score >= 1) return "right";
  return score > 0 ? "part" : "wrong";
}

async function card(item: ShownItem, thumbnails: Thumbnails): Promise<string> {
  const verdict = verdictOf(item);
  const share = verdict === "part" ? ` (${fixed((item.score ?? 0) * 100, 0)} %)` : "";
  const answer =
    item.answer === null
      ? '<span class="dim">no answer</span>'
      : `<span class="text">${escapeHtml(item.answer)}</span>`;
  const expected =
    item.expected === ""
      ? ""
      : `<div><span class="dim">Right:</span> <span class="text">${escapeHtml(item.expected)}</span></div>`;
  return `<article data-verdict="${verdict}" data-group="${escapeHtml(item.group)}">
${await picture(item, thumbnails)}<div class="text">${escapeHtml(item.question)}</div>
<div><span class="dim">Answer:</span> ${answer}</div>
${expected}
<div class="dim"><span class="verdict ${verdict}">${VERDICTS[verdict]}${share}</span> · ${escapeHtml(item.id)} ${escapeHtml(item.group)}</div>
</article>`;
}

async function picture(item: ShownItem, thumbnails: Thumbnails): Promise<string> {
  if (item.picture === null) return "";
  const number = await thumbnails.add(item.picture);
  const alt = `Picture of question ${escapeHtml(item.id)}`;
  if (number === null) return `<div class="dim">${alt}: it could not be read</div>\n`;
  return `<img data-picture="${number}" alt="${alt}">\n`;
}

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => ENTITIES[sign]);
}
