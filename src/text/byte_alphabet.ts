/**
 * The alphabet of byte-level tokenizers: a printable character for each byte. Bytes that are printable in
 * Latin-1 stand for themselves, the others follow from U+0100 on.
 */
export const BYTE_TO_CHAR: readonly string[] = buildAlphabet();

/** The byte that each character of the alphabet stands for. */
export const CHAR_TO_BYTE: ReadonlyMap<string, number> = new Map(
  BYTE_TO_CHAR.map((char, byte) => [char, byte]),
);

function buildAlphabet(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
    return String.fromCharCode(printable ? byte : next++);
  });
}
