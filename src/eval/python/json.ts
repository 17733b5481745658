// JSON as Python's `json` module reads and writes it: the order of keys, 1 and 1.0, big integers, NaN.

import { BenchmarkError } from "../errors.ts";
import { MAX_DIGITS, narrow, repr } from "./numbers.ts";

/** A float without a fraction: Python tells 1.0 from 1, and writes it so. */
export class WholeFloat {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

export type Json = null | boolean | number | bigint | WholeFloat | string | Json[] | JsonObject;
/** A Map, because an object would bring keys such as "10" into an order of its own. */
export type JsonObject = Map<string, Json>;

/** What `dumps` takes: Json, and plain objects and arrays of it. */
export type Writable =
  | Json
  | readonly Writable[]
  | ReadonlyMap<string, Writable>
  | { readonly [key: string]: Writable };

/** A number that Python has as a float. */
export function float(value: number): number | WholeFloat {
  return Number.isInteger(value) ? new WholeFloat(value) : value;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return value instanceof Map;
}

/** The number of an int or float; undefined for anything else. */
export function asNumber(value: Json | undefined): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  return value instanceof WholeFloat ? value.value : undefined;
}

/** Python's `bool(value)`. */
export function truthy(value: Json): boolean {
  if (value instanceof Map) return value.size > 0;
  if (Array.isArray(value)) return value.length > 0;
  // NaN is true in Python.
  if (typeof value === "number") return value !== 0;
  return value instanceof WholeFloat ? value.value !== 0 : Boolean(value);
}

/**
 * What a value is as a key of a Python dict: 1, 1.0 and true are the same, "1" is another.
 * Undefined for lists and dicts, which Python refuses.
 */
export function keyOf(value: Json): string | undefined {
  if (typeof value === "string") return `"${value}`;
  if (value === null) return "null";
  if (typeof value === "boolean") return value ? "1" : "0";
  if (value instanceof WholeFloat) return String(narrow(BigInt(value.value)));
  return typeof value === "number" || typeof value === "bigint" ? String(value) : undefined;
}

/** `str(value)` as an f-string puts it. */
export function pythonText(value: Json): string {
  if (typeof value === "string") return value;
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (value instanceof WholeFloat) return repr(value.value);
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : repr(value);
  return typeof value === "bigint" ? String(value) : dumps(value);
}

/**
 * `json.dumps(value)`: ", " and ": " between, everything outside U+0020-007E escaped.
 *
 * @param indent the spaces of a level; without it all stands on one line
 */
export function dumps(value: Writable, indent?: number): string {
  return write(value, indent, "\n");
}

function write(value: Writable, indent: number | undefined, line: string): string {
  if (value === null) return "null";
  if (typeof value === "string") return quote(value);
  if (typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : floatText(value);
  if (value instanceof WholeFloat) return floatText(value.value);
  const inner = line + " ".repeat(indent ?? 0);
  if (Array.isArray(value)) {
    const items = (value as readonly Writable[]).map((item) => write(item, indent, inner));
    return surround("[", items, "]", indent, line);
  }
  const entries = value instanceof Map ? [...value.entries()] : Object.entries(value);
  const items = entries.map(([key, item]) => `${quote(key)}: ${write(item as Writable, indent, inner)}`);
  return surround("{", items, "}", indent, line);
}

function surround(
  open: string,
  items: string[],
  close: string,
  indent: number | undefined,
  line: string,
): string {
  if (items.length === 0) return open + close;
  if (indent === undefined) return open + items.join(", ") + close;
  const inner = line + " ".repeat(indent);
  return open + inner + items.join(`,${inner}`) + line + close;
}

function floatText(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "Infinity" : "-Infinity";
  return repr(value);
}

const SHORT: Record<string, string> = {
  '"': '\\"',
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\b": "\\b",
  "\f": "\\f",
};

function quote(text: string): string {
  const escaped = text.replace(
    /["\\]|[^ -~]/g,
    (unit) => SHORT[unit] ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return `"${escaped}"`;
}

const MAX_DEPTH = 500;
const ESCAPES: Record<string, string> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

/**
 * `json.loads(text)`.
 *
 * @throws BenchmarkError saying where it is no JSON
 */
export function loads(text: string): Json {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.end();
  return value;
}

class Reader {
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text;
  }

  value(depth: number): Json {
    if (depth > MAX_DEPTH) this.fail(`lists or objects within each other, more than ${MAX_DEPTH} deep`);
    this.space();
    const sign = this.text[this.at];
    if (sign === '"') return this.string();
    if (sign === "{") return this.object(depth);
    if (sign === "[") return this.list(depth);
    for (const [word, value] of WORDS) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.number();
  }

  /** Nothing but white space may follow. */
  end(): void {
    this.space();
    if (this.at < this.text.length) this.fail("something follows the value");
  }

  private object(depth: number): JsonObject {
    const result: JsonObject = new Map();
    this.at++;
    this.space();
    if (this.take("}")) return result;
    do {
      this.space();
      if (this.text[this.at] !== '"') this.fail("a key in double quotes is missing");
      const key = this.string();
      this.space();
      if (!this.take(":")) this.fail('":" is missing');
      result.set(key, this.value(depth + 1));
      this.space();
    } while (this.take(","));
    if (!this.take("}")) this.fail('"," or "}" is missing');
    return result;
  }

  private list(depth: number): Json[] {
    const result: Json[] = [];
    this.at++;
    this.space();
    if (this.take("]")) return result;
    do {
      result.push(this.value(depth + 1));
      this.space();
    } while (this.take(","));
    if (!this.take("]")) this.fail('"," or "]" is missing');
    return result;
  }

  private string(): string {
    let result = "";
    let from = ++this.at;
    for (;;) {
      const unit = this.text.charCodeAt(this.at);
      if (Number.isNaN(unit)) this.fail("a text does not end");
      if (unit < 0x20) this.fail("a text holds a control character");
      if (unit === 0x22 || unit === 0x5c) {
        result += this.text.slice(from, this.at++);
        if (unit === 0x22) return result;
        result += this.escape();
        from = this.at;
      } else {
        this.at++;
      }
    }
  }

  private escape(): string {
    const letter = this.text[this.at++] ?? "";
    if (letter !== "u") return ESCAPES[letter] ?? this.fail("an unknown escape");
    const code = this.text.slice(this.at, this.at + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(code)) this.fail("\\u without four hexadecimal digits");
    this.at += 4;
    return String.fromCharCode(Number.parseInt(code, 16));
  }

  private number(): Json {
    NUMBER.lastIndex = this.at;
    const match = NUMBER.exec(this.text);
    if (match === null) return this.fail("no value");
    this.at += match[0].length;
    const value = Number(match[0]);
    if (match[1] === undefined && match[2] === undefined) {
      if (match[0].length > MAX_DIGITS) this.fail("a number with too many digits");
      return Number.isSafeInteger(value) ? value + 0 : BigInt(match[0]);
    }
    return float(value);
  }

  private take(sign: string): boolean {
    if (this.text[this.at] !== sign) return false;
    this.at++;
    return true;
  }

  private space(): void {
    while (/[ \t\n\r]/.test(this.text[this.at] ?? "")) this.at++;
  }

  private fail(what: string): never {
    throw new BenchmarkError(`is no JSON: ${what} at character ${this.at + 1}`);
  }
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
const WORDS: readonly [string, Json][] = [
  ["null", null],
  ["true", true],
  ["false", false],
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
];
