import { UnsupportedError } from "../base/errors.ts";

/** `saveWeights` where there is no disk. */
export async function saveWeights(): Promise<string[]> {
  throw new UnsupportedError("save_pretrained: a browser has no folder to save to", {
    where: "save_pretrained",
  });
}
