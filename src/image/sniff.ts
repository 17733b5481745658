import { ImageError } from "../base/errors.ts";

/** The file formats that are decoded. */
export type Format = "png" | "jpeg" | "webp" | "gif" | "bmp" | "tiff" | "avif";

const ACCEPTED = "PNG, JPEG, WebP, GIF, BMP, TIFF and AVIF";

/**
 * The format of a picture's bytes, by their first ones; names and extensions count for nothing.
 *
 * @param name what to call the picture in an error
 * @throws ImageError where it is none that is decoded, saying what it seems to be and what to do
 */
export function sniff(bytes: Uint8Array, name: string): Format {
  if (bytes.length === 0) throw new ImageError(`${name}: the file is empty.`, { where: name });
  const format = formatOf(bytes);
  if (format !== undefined) return format;
  const { seems, advice } = describe(headOf(bytes), bytes);
  throw new ImageError(`${name}: this is ${seems}, not a picture that can be read. ${advice}`, {
    where: name,
    expected: ACCEPTED,
    got: seems,
  });
}

/** The bytes that tell a format, a letter each. */
function headOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes.subarray(0, 512));
}

/** The format of a picture's bytes, or undefined where it is none that is decoded. */
export function formatOf(bytes: Uint8Array): Format | undefined {
  const head = headOf(bytes);
  const starts = (...beginnings: string[]) => beginnings.some((beginning) => head.startsWith(beginning));
  if (starts("\x89PNG\r\n\x1a\n")) return "png";
  if (starts("\xff\xd8\xff")) return "jpeg";
  if (starts("RIFF") && head.slice(8, 12) === "WEBP") return "webp";
  if (starts("GIF87a", "GIF89a")) return "gif";
  if (starts("BM")) return "bmp";
  if (starts("II*\0", "MM\0*", "II+\0", "MM\0+")) return "tiff";
  if (brands(head).some((brand) => brand === "avif" || brand === "avis")) return "avif";
  return undefined;
}

/** The brands in the first box of an ISO media file: the major one and those that it is compatible with. */
function brands(head: string): string[] {
  if (head.slice(4, 8) !== "ftyp") return [];
  const [a, b, c, d] = Array.from(head.slice(0, 4), (letter) => letter.charCodeAt(0));
  const end = Math.min(head.length, ((a * 256 + b) * 256 + c) * 256 + d);
  const names = [head.slice(8, 12)];
  for (let i = 16; i + 4 <= end; i += 4) names.push(head.slice(i, i + 4));
  return names;
}

const CONVERT = "Convert it to PNG or JPEG first.";

/** File types that people try, by their beginnings. */
const OTHERS: readonly { begins: readonly string[]; seems: string; advice: string }[] = [
  {
    begins: ["<!doctype html", "<html", "<head"],
    seems: "a web page",
    advice: "Give the picture's own address.",
  },
  { begins: ["%pdf"], seems: "a PDF document", advice: CONVERT },
  { begins: ["\xff\x0a", "\0\0\0\x0cjxl "], seems: "a JPEG XL picture", advice: CONVERT },
  { begins: ["\0\0\0\x0cjp  ", "\xff\x4f\xff\x51"], seems: "a JPEG 2000 picture", advice: CONVERT },
  { begins: ["8bps"], seems: "a Photoshop document", advice: CONVERT },
  { begins: ["\0\0\x01\0", "\0\0\x02\0"], seems: "an icon", advice: CONVERT },
  { begins: ["pk\x03\x04"], seems: "a ZIP archive", advice: "Unpack it and give a picture from it." },
  {
    begins: ["version https://git-lfs"],
    seems: "a Git LFS pointer",
    advice: "Fetch the file with 'git lfs pull'.",
  },
];

const HEIC = ["heic", "heix", "hevc", "heim", "heis", "mif1", "msf1"];

function describe(head: string, bytes: Uint8Array): { seems: string; advice: string } {
  if (brands(head).some((brand) => HEIC.includes(brand))) {
    return {
      seems: "a HEIC picture",
      advice: "Convert it to JPEG first, with 'heif-convert IN.heic OUT.jpg' or 'sips -s format jpeg'.",
    };
  }
  if (head.slice(4, 8) === "ftyp") return { seems: "a video", advice: "Give a single picture from it." };
  const text = head.trimStart().toLowerCase();
  const other = OTHERS.find(({ begins }) => begins.some((begin) => text.startsWith(begin)));
  if (other !== undefined) return other;
  if (isSvg(text)) return { seems: "an SVG drawing", advice: CONVERT };
  return { seems: isText(bytes) ? "text" : "of an unknown type", advice: `${ACCEPTED} are accepted.` };
}

function isSvg(text: string): boolean {
  return /^(<svg|<!doctype svg|(<\?xml|<!--).*(<svg|<!doctype svg))/s.test(text);
}

function isText(bytes: Uint8Array): boolean {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, 512), { stream: true });
    return Array.from(text).every((letter) => letter >= " " || "\t\n\f\r".includes(letter));
  } catch {
    return false;
  }
}
