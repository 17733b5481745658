/**
 * A list that is called like a function, as Python's `__call__` allows: `processors(input_ids, scores)`, and beside it
 * everything of an array (`push`, `length`, `for ... of`, `[0]`). A call runs the method `__call__`.
 */
export abstract class CallableList<Item, Args extends unknown[], Result> extends Array<Item> {
  constructor(items: Iterable<Item> = []) {
    super();
    const list = (...args: Args): Result => (list as unknown as this).__call__(...args);
    Object.setPrototypeOf(list, new.target.prototype);
    // A function's length counts its parameters and cannot be written; an array's methods need one that can.
    Object.defineProperty(list, "length", { value: 0, writable: true });
    Array.prototype.push.apply(list as unknown as Item[], [...items]);
    // biome-ignore lint/correctness/noConstructorReturn: the returned function is the list
    return list as unknown as this;
  }

  /** What `map` and `filter` give is a plain array. */
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }

  get [Symbol.isConcatSpreadable](): boolean {
    return true;
  }

  /** As in Python. */
  append(item: Item): void {
    this.push(item);
  }

  /** As in Python. */
  extend(items: Iterable<Item>): void {
    this.push(...items);
  }

  abstract __call__(...args: Args): Result;
}
