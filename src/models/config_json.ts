import { isRecord } from "./config_fields.ts";

/** Copies JSON deeply; objects that know `to_dict` become what it gives. A key `__proto__` stays a plain key. */
export function cloneJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(cloneJson);
  if (!isRecord(value)) return value;
  if (typeof value.to_dict === "function") return value.to_dict();
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, cloneJson(item)]));
}

/** Whether two pieces of JSON say the same; the order of keys does not count. */
export function equalJson(a: unknown, b: unknown): boolean {
  if (Array.isArray(a))
    return Array.isArray(b) && a.length === b.length && a.every((x, i) => equalJson(x, b[i]));
  if (!isRecord(a)) return Object.is(a, b) || a === b;
  if (!isRecord(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && equalJson(a[key], b[key]))
  );
}

const SPECIAL_FLOATS: Readonly<Record<string, number>> = {
  Infinity: Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY,
  NaN: Number.NaN,
};

/** Transformers writes a number that JSON cannot hold as `{"__float__": "Infinity"}`. This reads it back. */
export function decodeSpecialFloats(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(decodeSpecialFloats);
  if (!isRecord(value)) return value;
  const tag = value.__float__;
  if (Object.keys(value).length === 1 && typeof tag === "string" && Object.hasOwn(SPECIAL_FLOATS, tag)) {
    return SPECIAL_FLOATS[tag];
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decodeSpecialFloats(item)]));
}

/**
 * JSON as Transformers saves it: two spaces, sorted keys, a newline at the end.
 *
 * @param isFloat whether Python expects a float at this path: a whole number is then written `1.0`, because
 *   Transformers refuses an integer there
 */
export function pythonJson(value: unknown, isFloat: (path: readonly string[]) => boolean): string {
  const write = (item: unknown, path: readonly string[]): string => {
    const indent = "  ".repeat(path.length + 1);
    const close = "  ".repeat(path.length);
    if (typeof item === "number") return writeNumber(item, isFloat(path), indent, close);
    if (Array.isArray(item)) {
      if (item.length === 0) return "[]";
      return `[\n${item.map((x, i) => indent + write(x, [...path, String(i)])).join(",\n")}\n${close}]`;
    }
    if (!isRecord(item)) return asciiString(JSON.stringify(item ?? null));
    const keys = Object.keys(item).sort();
    if (keys.length === 0) return "{}";
    const lines = keys.map((key) => {
      return `${indent}${asciiString(JSON.stringify(key))}: ${write(item[key], [...path, key])}`;
    });
    return `{\n${lines.join(",\n")}\n${close}}`;
  };
  return `${write(value, [])}\n`;
}

function writeNumber(value: number, float: boolean, indent: string, close: string): string {
  if (!Number.isFinite(value)) return `{\n${indent}"__float__": "${value}"\n${close}}`;
  const digits = String(value);
  return float && /^-?\d+$/.test(digits) ? `${digits}.0` : digits;
}

/** Python escapes everything outside ASCII. */
function asciiString(json: string): string {
  return json.replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
