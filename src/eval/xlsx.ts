import { count } from "./answers.ts";
import type { Printer } from "./benchmark.ts";
import { BenchmarkError } from "./errors.ts";

/** Characters that no sheet can hold. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const ILLEGAL = /[\x00-\x08\x0b\x0c\x0e-\x1f]|\p{Surrogate}/u;
/** The most characters of a cell. */
const CELL = 32_767;

/**
 * The bytes of an .xlsx file with one sheet, `Sheet1`. Texts stay texts, whatever they begin with; null is an empty
 * cell.
 *
 * @throws BenchmarkError where a text holds a character that no sheet can hold
 */
export async function sheet(
  rows: readonly (readonly (string | number | null)[])[],
  printer: Printer,
): Promise<Uint8Array> {
  let cut = 0;
  const data = rows.map((row, index) =>
    row.map((value) => {
      if (typeof value !== "string") return value;
      if (ILLEGAL.test(value)) throw illegal(index, value);
      if (value.length > CELL) cut++;
      return { value: value.slice(0, CELL), type: String };
    }),
  );
  if (cut > 0)
    printer.warn(`${count(cut, "cell")} cut to ${CELL} characters, the most that a sheet can hold`);
  // Loaded here, because nothing else needs it.
  const { default: writeXlsxFile } = await import("write-excel-file/node");
  return writeXlsxFile(data, { sheet: "Sheet1" }).toBuffer();
}

function illegal(row: number, text: string): BenchmarkError {
  const code = ILLEGAL.exec(text)?.[0].charCodeAt(0).toString(16).padStart(4, "0");
  return new BenchmarkError(
    `row ${row}: a text holds the character U+${code?.toUpperCase()}, which no sheet can hold.`,
    {
      item: row,
      got: text,
    },
  );
}
