/**
 * Base of classes whose instances are called like functions, as Python's `__call__` allows:
 * `await processor({ images, text })`. A call runs the method `__call__`.
 */
export abstract class Callable<Args extends unknown[], Result> {
  constructor() {
    const instance = (...args: Args): Result =>
      (instance as unknown as Callable<Args, Result>).__call__(...args);
    // biome-ignore lint/correctness/noConstructorReturn: the returned function is the instance
    return Object.setPrototypeOf(instance, new.target.prototype);
  }

  abstract __call__(...args: Args): Result;
}
