/** Deepest nesting that a template is shown. */
const MAX_DEPTH = 64;

/**
 * A value as a template may see it: plain JSON. What is none, a picture or bytes, becomes the name of its class in
 * angle brackets; templates only ask whether it is there.
 *
 * @throws RangeError where it is nested too deep, or contains itself
 */
export function plainData(value: unknown, depth = 0): unknown {
  if (depth > MAX_DEPTH) throw new RangeError(`nested deeper than ${MAX_DEPTH} levels`);
  if (value === null || value === undefined) return null;
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map((item) => plainData(item, depth + 1));
  if (isPlain(value)) {
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, item]) => item !== undefined)
        .map(([key, item]) => [key, plainData(item, depth + 1)]),
    );
  }
  return `<${typeof value === "object" ? value.constructor.name : typeof value}>`;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}
