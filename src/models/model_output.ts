/** What a model gives. Fields that were not asked for are absent. */
export abstract class ModelOutput {
  /** The names of the fields that are there, in order. */
  keys(): string[] {
    return this.items().map(([name]) => name);
  }

  /** The fields that are there, in order. */
  values(): unknown[] {
    return this.items().map(([, value]) => value);
  }

  /** Name and value of each field that is there, in order. */
  items(): [string, unknown][] {
    return Object.entries(this).filter(([, value]) => value !== undefined);
  }

  /** The field of that name, or `fallback` (undefined) where it is not there. */
  get<K extends keyof this>(key: K): this[K];
  get(key: string, fallback?: unknown): unknown;
  get(key: PropertyKey, fallback?: unknown): unknown {
    const value = Object.hasOwn(this, key) ? this[key as keyof this] : undefined;
    return value === undefined ? fallback : value;
  }

  /** The fields that are there: what Transformers gives with `return_dict: false`. */
  to_tuple(): unknown[] {
    return this.values();
  }
}
