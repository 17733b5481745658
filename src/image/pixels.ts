/** Element types that pictures on their way through a processor have. */
export type PixelArray = Uint8Array | Int32Array | Float32Array | Float64Array;

/** Zeros of the same element type. */
export function allocateLike<A extends PixelArray>(like: A, length: number): A {
  return new (like.constructor as new (length: number) => A)(length);
}

/** Height and width, in this order. */
export type Size = readonly [height: number, width: number];

/** Copies the named rows and columns. [planes, H, W] -> [planes, rows, columns] */
export function pickPlaces<A extends PixelArray>(
  data: A,
  planes: number,
  [height, width]: Size,
  rows: Int32Array,
  columns: Int32Array,
): A {
  const target = allocateLike(data, planes * rows.length * columns.length);
  let next = 0;
  for (let plane = 0; plane < planes; plane++) {
    for (const row of rows) {
      const from = (plane * height + row) * width;
      for (let x = 0; x < columns.length; x++) target[next++] = data[from + columns[x]];
    }
  }
  return target;
}
