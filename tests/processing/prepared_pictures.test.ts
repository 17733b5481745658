import { expect, test, vi } from "vitest";
import { AutoProcessor, load_image, type RawImage, type Tensor } from "../../src/index.ts";

const folder = new URL("../../checkpoints/llava-demo/pictures/", import.meta.url);
const read = (name: string): Promise<RawImage> => load_image(new URL(name, folder).pathname);

test("a picture that is kept is prepared once for each setting, and to the same numbers", async () => {
  const plain = await AutoProcessor.from_pretrained("llava-demo");
  const keeping = await AutoProcessor.from_pretrained("llava-demo");
  keeping.image_processor.keepPrepared();
  const made = vi.spyOn(keeping.image_processor, "process_image");
  const [garden, beach] = [await read("garden.jpg"), await read("beach.jpg")];
  const pixels = async (processor: typeof plain, images: RawImage[], more = {}): Promise<Tensor> => {
    const text = "<image>".repeat(images.length);
    return (await processor({ images, text, ...more })).pixel_values as Tensor;
  };
  const both = (await pixels(plain, [beach, garden])).data as Float32Array;
  const size = both.length / 2;
  const first = (await pixels(keeping, [garden])).data;
  expect(first).toEqual(both.subarray(size));
  expect((await pixels(keeping, [garden])).data).toBe(first);
  expect(made).toHaveBeenCalledTimes(1);
  expect((await pixels(keeping, [beach, garden])).data).toEqual(both);
  expect(made).toHaveBeenCalledTimes(2);
  const raw = { do_normalize: false };
  expect((await pixels(keeping, [beach], raw)).data).toEqual((await pixels(plain, [beach], raw)).data);
  expect((await pixels(keeping, [beach, garden])).data).toEqual(both);
  expect(made).toHaveBeenCalledTimes(3);
  // Another object, even of the same picture, is another picture.
  await pixels(keeping, [await read("garden.jpg")]);
  expect(made).toHaveBeenCalledTimes(4);
  expect(keeping.image_processor.to_dict()).toEqual(plain.image_processor.to_dict());
});
