import { fieldError, integer, LIMITS } from "./config_fields.ts";

const COUNT = integer(null, 0, LIMITS.labels);

/**
 * The labels of classes that nobody named: LABEL_0, LABEL_1 and so on.
 *
 * @throws OptionError where there cannot be so many
 */
export function unnamedLabels(num_labels: number): {
  id2label: Record<string, string>;
  label2id: Record<string, number>;
} {
  if (!COUNT.accepts(num_labels)) throw fieldError("num_labels", COUNT, num_labels);
  const names = Array.from({ length: num_labels }, (_, i) => `LABEL_${i}`);
  return {
    id2label: Object.fromEntries(names.map((name, i) => [String(i), name])),
    label2id: Object.fromEntries(names.map((name, i) => [name, i])),
  };
}
