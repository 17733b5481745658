import { resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import {
  type CachedModel,
  cacheInfo,
  OptionError,
  type PackedCopyInfo,
  removeCached,
} from "../../src/index.ts";
import { outColours } from "../colours.ts";
import { UsageError } from "../errors.ts";

const EXAMPLES = `
Examples:
  llava cache
  llava cache --json
  llava cache remove llava-hf/llava-1.5-7b-hf
  llava cache remove --packed
  llava cache remove --all --yes

Downloaded models are in the cache that all Hugging Face programs share (HF_HOME, HF_HUB_CACHE). Packed copies of
weights (--dtype q8, q4) are in LLAVA_CACHE, by default ~/.cache/llava; they are made again when they are needed.`;

const REMOVE_EXAMPLES = `
Examples:
  llava cache remove llava-hf/llava-1.5-7b-hf           the model, and its packed copies
  llava cache remove llava-hf/llava-1.5-7b-hf --packed  its packed copies alone
  llava cache remove --packed                           all packed copies
  llava cache remove --all --yes                        everything, without a question`;

interface CommonFlags {
  json: boolean;
}

interface RemoveFlags extends CommonFlags {
  packed: boolean;
  all: boolean;
  yes: boolean;
}

/** Something that can be removed. */
interface Entry {
  kind: "model" | "packed copy";
  name: string;
  bytes: number;
  lastUsed: Date;
  /** Beside the name. */
  detail: string;
  source: CachedModel | PackedCopyInfo;
}

export function addCache(program: Command): void {
  const cache = program
    .command("cache")
    .summary("what is kept on disk, and removing it")
    .description("Shows which models and packed copies of weights are kept on disk, and what they take.")
    .option("--json", "print one JSON object", false)
    .option("--verbose", "show where an error comes from", false)
    .addHelpText("after", EXAMPLES)
    .action(show);
  cache
    .command("remove")
    .summary("remove models and packed copies")
    .description("Removes models and packed copies of weights from the disk.")
    .argument("[model...]", "names as `llava cache` shows them")
    .option("--packed", "packed copies only", false)
    .option("--all", "everything", false)
    .option("-y, --yes", "do not ask", false)
    .option("--json", "print one JSON object", false)
    .option("--verbose", "show where an error comes from", false)
    .addHelpText("after", REMOVE_EXAMPLES)
    // `--json` is known to the command above, too, and lands there.
    .action((models: string[], flags: RemoveFlags, command: Command) =>
      remove(models, { ...flags, json: command.optsWithGlobals().json }),
    );
}

async function show(flags: CommonFlags): Promise<void> {
  const info = await cacheInfo();
  if (flags.json) {
    const models = info.models.map((model) => ({ ...facts(modelEntry(model)), revisions: model.revisions }));
    const copies = info.packed.copies.map((copy) => ({
      ...facts(packedEntry(copy)),
      dtype: copy.dtype,
      stale: copy.stale,
    }));
    const hub = { folder: info.folder, models };
    const packed = { folder: info.packed.folder, copies };
    process.stdout.write(`${JSON.stringify({ hub, packed }, null, 2)}\n`);
    return;
  }
  const lines = [
    outColours.bold(`models in ${info.folder}`),
    ...table(info.models.map(modelEntry)),
    "",
    outColours.bold(`packed copies in ${info.packed.folder}`),
    ...table(info.packed.copies.map(packedEntry)),
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}

async function remove(models: string[], flags: RemoveFlags): Promise<void> {
  const entries = await chosen(models, flags);
  const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  if (!flags.yes && entries.length > 0 && !(await confirmed(entries, bytes))) {
    process.stderr.write("nothing was removed\n");
    return;
  }
  for (const { source } of entries) await removeCached(source);
  if (flags.json) {
    const removed = entries.map((entry) => ({ kind: entry.kind, ...facts(entry) }));
    process.stdout.write(`${JSON.stringify({ removed, bytes }, null, 2)}\n`);
  } else process.stdout.write(`removed ${counted(entries)}, ${sizeText(bytes)}\n`);
}

/** What is to be removed. */
async function chosen(models: string[], { packed, all }: RemoveFlags): Promise<Entry[]> {
  if (models.length === 0 && !packed && !all) {
    throw new UsageError("say what to remove: names of models, --packed, or --all");
  }
  if (all && models.length > 0)
    throw new UsageError("--all is everything: leave the names out, or leave --all out");
  const info = await cacheInfo();
  const copies = info.packed.copies.map(packedEntry);
  const entries = packed ? copies : [...info.models.map(modelEntry), ...copies];
  for (const model of models) {
    if (entries.some((entry) => isNamed(entry, model))) continue;
    const names = [...new Set(entries.map(({ name }) => name))];
    const there = names.length > 0 ? `There is: ${names.join(", ")}` : "There is nothing";
    throw new OptionError(`${packed ? "no packed copy" : "nothing"} of ${model} is kept on disk. ${there}.`, {
      where: "model",
      got: model,
    });
  }
  return models.length === 0
    ? entries
    : entries.filter((entry) => models.some((name) => isNamed(entry, name)));
}

function isNamed({ name }: Entry, wanted: string): boolean {
  return name === wanted || resolve(name) === resolve(wanted);
}

async function confirmed(entries: Entry[], bytes: number): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new UsageError("nobody is there to be asked: add --yes to remove without a question");
  process.stderr.write(`${table(entries).join("\n")}\n`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`Remove ${counted(entries)}, ${sizeText(bytes)}? [y/N] `);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}

function modelEntry(source: CachedModel): Entry {
  const { id: name, bytes, unfinishedBytes, lastUsed } = source;
  const detail = unfinishedBytes > 0 ? `${sizeText(unfinishedBytes)} more unfinished` : "";
  return { kind: "model", name, bytes: bytes + unfinishedBytes, lastUsed, detail, source };
}

function packedEntry(source: PackedCopyInfo): Entry {
  const { model: name, dtype, bytes, lastUsed, stale } = source;
  const detail = stale ? `${dtype} (its checkpoint is gone or was changed)`.trim() : dtype;
  return { kind: "packed copy", name, bytes, lastUsed, detail, source };
}

/** What `--json` says of an entry. */
function facts({ name, bytes, lastUsed, source: { folder } }: Entry): Record<string, unknown> {
  return { name, folder, bytes, last_used: lastUsed.toISOString() };
}

/** A line for each, largest first. */
function table(entries: readonly Entry[]): string[] {
  if (entries.length === 0) return ["  none"];
  const width = Math.max(...entries.map(({ name }) => name.length));
  return entries
    .toSorted((a, b) => b.bytes - a.bytes)
    .map(({ name, bytes, lastUsed, detail }) =>
      `  ${sizeText(bytes).padStart(9)}  ${lastUsed.toISOString().slice(0, 10)}  ${name.padEnd(width)}  ${detail}`.trimEnd(),
    );
}

function counted({ length }: readonly Entry[]): string {
  return `${length} ${length === 1 ? "entry" : "entries"}`;
}

function sizeText(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
