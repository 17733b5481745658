/** a * b / 255, rounded as Pillow does. */
function multiply(a: number, b: number): number {
  const product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

type Mix = (colour: number, alpha: number) => number;

/** Colours times alpha, as Pillow resizes pictures with alpha. The last plane of each picture is alpha. */
export function premultiply(data: Uint8Array, channels: number, planes: number): Uint8Array {
  return mixAlpha(data, channels, planes, multiply);
}

/** Colours divided by alpha again; where alpha is 0 they stay. */
export function unpremultiply(data: Uint8Array, channels: number, planes: number): Uint8Array {
  return mixAlpha(data, channels, planes, (colour, alpha) =>
    alpha === 0 || alpha === 255 ? colour : Math.min(255, Math.trunc((255 * colour) / alpha)),
  );
}

function mixAlpha(data: Uint8Array, channels: number, planes: number, mix: Mix): Uint8Array {
  const area = data.length / planes;
  const out = data.slice();
  for (let plane = 0; plane < planes; plane++) {
    const alphaPlane = plane - (plane % channels) + channels - 1;
    if (plane === alphaPlane) continue;
    for (let i = 0; i < area; i++) {
      out[plane * area + i] = mix(data[plane * area + i], data[alphaPlane * area + i]);
    }
  }
  return out;
}
