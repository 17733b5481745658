import { mkdir, writeFile } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { OptionError, UnsupportedError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import type { Converter, Files, Upload } from "./benchmark.ts";
import { isFolder } from "./files.ts";
import { stem } from "./names.ts";
import { needed } from "./needed.ts";
import { Collector, type Output } from "./output.ts";
import { findBenchmark } from "./registry.ts";

export interface ConvertOptions {
  answers: string;
  questions?: string;
  annotations?: string;
  split?: string;
  /** The file to write, or the folder for it. */
  out: string;
  /** Takes what the original prints, as it comes. */
  print?: (text: string) => void;
}

export interface ConvertResult extends Output {
  benchmark: string;
  /** The files that were written. */
  files: string[];
}

const OPTIONS = ["answers", "questions", "annotations", "split", "out", "print"];

/**
 * Writes the file that a benchmark's evaluation server takes, byte for byte as the original programs write it.
 *
 * @throws BenchmarkError where they stop; what they had written by then is written
 */
export async function convert(name: string, options: ConvertOptions): Promise<ConvertResult> {
  checkOptions("convert", options, OPTIONS);
  const benchmark = findBenchmark(name);
  const { converter } = benchmark;
  if (converter === undefined) {
    throw new UnsupportedError(`${benchmark.title} has no upload file: score or judge it here.`, {
      where: name,
    });
  }
  const files: Files = { ...options, answers: needed(options, "answers") };
  for (const file of converter.needs) needed(files, file);
  const place = await placeFor(converter, files.answers, needed(options, "out"));
  const output = new Collector(options.print);
  const written: string[] = [];
  await output.during(async () => {
    for await (const upload of converter.convert(files, output)) {
      const path = place(upload);
      if (path === undefined) continue;
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, upload.bytes);
      written.push(path);
    }
  });
  return { benchmark: name, files: written, stdout: output.stdout, warnings: output.warnings };
}

/** Where each upload goes: undefined, nowhere. */
async function placeFor(
  { extension }: Converter,
  answers: string,
  out: string,
): Promise<(upload: Upload) => string | undefined> {
  const folder = (await isFolder(out)) || /[/\\]$/.test(out);
  if (extension !== undefined) {
    return ({ name }) => (folder ? join(out, name ?? stem(answers) + extension) : out);
  }
  const wanted = extname(out);
  if (folder || ![".json", ".jsonl"].includes(wanted)) return ({ name }) => join(out, plain(name ?? ""));
  return ({ name }) => (extname(name ?? "") === wanted ? out : undefined);
}

/** A file's name that cannot lead out of its folder. */
function plain(name: string): string {
  if (!/[/\\\0]/.test(name)) return name;
  throw new OptionError(`'${name}' cannot be a file's name.`, { got: name });
}
