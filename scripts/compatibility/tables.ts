import type { Finding } from "./compare.ts";

/** The generated part of docs/compatibility.md. */
export function tables(findings: readonly Finding[], transformers: string): string {
  const lost = findings.filter(({ state }) => state === "throws" || state === "missing");
  const share = ((100 * lost.length) / findings.length).toFixed(1);
  const owners = [...new Set(findings.map(({ item }) => item.owner))];
  return [
    `Of the ${findings.length} public names of Transformers ${transformers} that concern LLaVA (classes, functions, members, parameters), ` +
      `${findings.length - lost.length} are there; ${lost.length} (${share} %) throw or are missing.`,
    "",
    "| Name | Members that are there | Parameters and options |",
    "|---|---|---|",
    ...owners.map((owner) =>
      row(
        owner,
        findings.filter(({ item }) => item.owner === owner),
      ),
    ),
    "",
    "What differs:",
    "",
    ...reasons(findings.filter(({ state }) => state === "differs")),
    "",
    "What throws `UnsupportedError`, by name, or is missing:",
    "",
    ...reasons(lost),
  ].join("\n");
}

function row(owner: string, findings: readonly Finding[]): string {
  const has = ({ state }: Finding): boolean => state === "there" || state === "differs";
  const members = findings.filter(({ item }) => item.kind === "member");
  const parameters = findings.filter(({ item }) => item.kind === "parameter");
  const names = members.filter(has).map(({ item }) => code(item.member ?? ""));
  const count = parameters.length === 0 ? "" : `${parameters.filter(has).length} of ${parameters.length}`;
  const missing = has(findings[0]) ? "" : " (missing)";
  return `| ${code(owner)}${missing} | ${names.join(", ")} | ${count} |`;
}

/** One row for each reason. */
function reasons(findings: readonly Finding[]): string[] {
  const byReason = new Map<string, Finding[]>();
  for (const found of findings) {
    const reason = `${found.state} | ${found.why}`;
    byReason.set(reason, [...(byReason.get(reason) ?? []), found]);
  }
  const rows = [...byReason].map(
    ([reason, same]) =>
      `| ${shortest(same)
        .map((path) => code(path))
        .join(", ")} | ${reason} |`,
  );
  return ["| Name | | Why |", "|---|---|---|", ...rows];
}

/** Paths, without those that belong to another one among them. */
function shortest(findings: readonly Finding[]): string[] {
  const paths = new Set(findings.map(({ item }) => item.path));
  const within = ({ item }: Finding): boolean =>
    item.kind !== "name" &&
    (paths.has(item.owner) || (item.kind === "parameter" && paths.has(`${item.owner}.${item.member}`)));
  return findings.filter((found) => !within(found)).map(({ item }) => item.path);
}

function code(text: string): string {
  return `\`${text}\``;
}
