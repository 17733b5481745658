import { SplitPreTokenizer } from "./library.ts";

/** A pattern as tokenizer.json writes it: a plain string, or a regular expression in Oniguruma's dialect. */
export type FilePattern = { String: string } | { Regex: string };

/** A global Unicode RegExp for a pattern of the file. The library rewrites Oniguruma's dialect for us. */
export function compilePattern(pattern: FilePattern): RegExp {
  const { pattern: compiled } = new SplitPreTokenizer({ pattern });
  if (compiled === null) throw new Error(`pattern ${JSON.stringify(pattern)} is neither String nor Regex`);
  return compiled;
}
