import { count } from "./answers.ts";
import type { Printer } from "./benchmark.ts";
import { BenchmarkError } from "./errors.ts";

/** Characters that no sheet can hold: control characters but tab and line ends, and halves of surrogate pairs. */
const ILLEGAL = /(?![\t\n\r\u007f-\u009f])\p{Cc}|\p{Surrogate}/u;
/** Characters that XML discourages: the library leaves them out. */
const LEFT_OUT = /[\u007f-\u0084\u0086-\u009f]|\p{Noncharacter_Code_Point}/u;
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
  let reduced = 0;
  const data = rows.map((row) =>
    row.map((value) => {
      if (typeof value !== "string") return value;
      if (ILLEGAL.test(value)) throw illegal(row[0], value);
      if (value.length > CELL) cut++;
      if (LEFT_OUT.test(value)) reduced++;
      return { value: value.slice(0, CELL), type: String };
    }),
  );
  if (cut > 0)
    printer.warn(`${count(cut, "cell")} cut to ${CELL} characters, the most that a sheet can hold`);
  if (reduced > 0) printer.warn(`${count(reduced, "cell")} without control characters that stood in it`);
  // Loaded here, because nothing else needs it.
  const { default: writeXlsxFile } = await import("write-excel-file/node");
  return writeXlsxFile(data, { sheet: "Sheet1" }).toBuffer();
}

function illegal(row: string | number | null, text: string): BenchmarkError {
  const code = ILLEGAL.exec(text)?.[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
  return new BenchmarkError(
    `the row ${row}: a text holds the character U+${code}, which no sheet can hold.`,
    {
      item: row ?? undefined,
      got: text,
    },
  );
}
