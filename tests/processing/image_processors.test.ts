import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { RawImage } from "../../src/image/raw_image.ts";
import { CLIPImageProcessor } from "../../src/models/clip/image_processing_clip.ts";
import { CLIPImageProcessorPil } from "../../src/models/clip/image_processing_pil_clip.ts";
import { LlavaImageProcessor } from "../../src/models/llava/image_processing_llava.ts";
import { LlavaImageProcessorPil } from "../../src/models/llava/image_processing_pil_llava.ts";
import { PixtralImageProcessorPil } from "../../src/models/pixtral/image_processing_pil_pixtral.ts";
import { PixtralImageProcessor } from "../../src/models/pixtral/image_processing_pixtral.ts";
import type { BaseImageProcessor } from "../../src/models/processing/image_processing_utils.ts";
import { SiglipImageProcessorPil } from "../../src/models/siglip/image_processing_pil_siglip.ts";
import { SiglipImageProcessor } from "../../src/models/siglip/image_processing_siglip.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import recorded from "../fixtures/image/processors.json" with { type: "json" };
import { makePicture, type PictureSpec } from "../image/pictures.ts";

interface Output {
  dtype: string;
  shape: number[];
  sha256: string;
  values: number[];
}

interface Case {
  class: string;
  init: Record<string, unknown>;
  call: Record<string, unknown>;
  images: PictureSpec[];
  outputs: Record<string, Output>;
}

const CLASSES = {
  CLIPImageProcessor,
  CLIPImageProcessorPil,
  LlavaImageProcessor,
  LlavaImageProcessorPil,
  PixtralImageProcessor,
  PixtralImageProcessorPil,
  SiglipImageProcessor,
  SiglipImageProcessorPil,
};

const cases = recorded.cases as unknown as Case[];
const title = ({ class: name, init, call, images }: Case) =>
  `${name} ${JSON.stringify(init)} ${JSON.stringify(call)} ${JSON.stringify(images)}`;

describe("image processors give Transformers' numbers bit for bit", () => {
  it.each(cases.map((each) => [title(each), each] as const))(
    "%s",
    async (_, { outputs, ...recordedCase }) => {
      const processorClass = CLASSES[recordedCase.class as keyof typeof CLASSES];
      const processor: BaseImageProcessor = new processorClass(recordedCase.init);
      const images = await Promise.all(recordedCase.images.map(makePicture));
      const made = await processor.preprocess(images as (RawImage | Tensor)[], recordedCase.call);
      expect(Object.keys(made)).toEqual(Object.keys(outputs));
      for (const [name, expected] of Object.entries(outputs)) {
        const tensor = made.get(name);
        if (!(tensor instanceof Tensor)) throw new Error(`${name} is no tensor`);
        expect(tensor).toMatchObject({ dtype: expected.dtype, shape: expected.shape });
        const step = Math.max(1, Math.floor(tensor.data.length / 12));
        const values = expected.values.map((_, i) => tensor.data[i * step]);
        expect(values).toEqual(expected.values);
        expect(createHash("sha256").update(tensor.data).digest("hex")).toBe(expected.sha256);
      }
    },
  );
});
