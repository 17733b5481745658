import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ImageError, OptionError } from "../../src/base/errors.ts";
import { type ImageSource, load_image } from "../../src/image/load_image.ts";
import { RawImage } from "../../src/image/raw_image.ts";
import { noise } from "./noise.ts";
import { pictureUrl } from "./pictures.ts";

const url = pictureUrl("rgb.png");
const path = fileURLToPath(url);
const bytes = await readFile(path);
const base64 = bytes.toString("base64");
const expected = await load_image(path);

/** What `load_image` throws. */
async function failure(source: ImageSource, options = {}): Promise<Error> {
  return load_image(source, options).then(
    () => new Error("it did not fail"),
    (error: Error) => error,
  );
}

describe("load_image takes a picture from", () => {
  const sources: Record<string, ImageSource> = {
    "a path": path,
    "a file address": url.href,
    "a URL": url,
    "a data URI": `data:image/png;base64,${base64}`,
    "a data URI that names another type": `data:image/jpeg;base64,${base64}`,
    base64,
    "base64 in lines": base64.replace(/.{76}/g, "$&\n"),
    "a Buffer": bytes,
    "a Uint8Array in the middle of its memory": new Uint8Array([...bytes, 1, 2]).subarray(0, bytes.length),
    "an ArrayBuffer": new Uint8Array(bytes).buffer,
    "a Blob": new Blob([new Uint8Array(bytes)]),
    "a RawImage": expected,
    "a plain object": { width: expected.width, height: expected.height, channels: 3, data: expected.data },
  };
  it.each(Object.keys(sources))("%s", async (name) => {
    const image = await load_image(sources[name]);
    expect(image).toBeInstanceOf(RawImage);
    expect([image.width, image.height, image.channels]).toEqual([37, 29, 3]);
    expect(Buffer.compare(image.data, expected.data)).toBe(0);
  });

  it("a RawImage with alpha or in grey, dropping the alpha as convert('RGB') does", async () => {
    const data = noise(5, 3 * 2 * 4);
    const rgba = await load_image({ width: 3, height: 2, channels: 4, data });
    expect([...rgba.data.subarray(3, 6)]).toEqual([...data.subarray(4, 7)]);
    const grey = await load_image({ width: 3, height: 8, channels: 1, data });
    expect([...grey.data.subarray(0, 6)]).toEqual([data[0], data[0], data[0], data[1], data[1], data[1]]);
  });
});

describe("load_image says what is wrong with", () => {
  const text = (content: string) => new TextEncoder().encode(content);
  const heic = text("\0\0\0\x18ftypheic\0\0\0\0mif1heic");
  const sources: [string, ImageSource, RegExp][] = [
    ["a missing path", "/no/such/cat.png", /^\/no\/such\/cat\.png: there is no such file/],
    ["a missing path that could be base64", "no/such/cat0", /^no\/such\/cat0: there is no such file/],
    ["a missing file address", "file:///no/such/cat.png", /no such file/],
    ["an empty string", "", /there is no such file/],
    ["a folder", tmpdir(), /this is a folder/],
    ["a device", "/dev/null", /this is no file/],
    ["no bytes", new Uint8Array(), /^bytes: the file is empty/],
    ["text", text("not a picture"), /^bytes: this is text, not a picture.*PNG, JPEG/],
    ["base64 of text", Buffer.from("no picture. ".repeat(50)).toString("base64"), /^base64: this is text/],
    ["a data URI that is cut", "data:image/png;base64,iVBORw", /unknown type/],
    ["a data URI without base64", "data:image/png,abc", /expected data:image/],
    ["an SVG drawing", text('<?xml version="1.0"?>\n<svg xmlns="..."/>'), /an SVG drawing.*Convert/],
    ["a plain SVG drawing", text("  <svg></svg>"), /an SVG drawing/],
    ["a HEIC picture", heic, /a HEIC picture.*heif-convert/],
    ["a web page", text("<!DOCTYPE html><p>404"), /a web page/],
    ["a PDF", text("%PDF-1.7"), /a PDF document/],
    ["a Git LFS pointer", text("version https://git-lfs.github.com/spec/v1\n"), /git lfs pull/],
    ["anything else", noise(3, 500), /of an unknown type/],
  ];
  it.each(sources)("%s", async (_, source, message) => {
    const error = await failure(source);
    expect(error).toBeInstanceOf(ImageError);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain("\n");
    expect(error.message.length).toBeLessThan(400);
  });

  it.each([5, null, undefined, {}, [path]])("%j, which is no source", async (source) => {
    expect(await failure(source as unknown as ImageSource)).toBeInstanceOf(OptionError);
  });

  it("an unknown option, naming the nearest", async () => {
    const error = await failure(path, { timeot: 3 });
    expect(error).toBeInstanceOf(OptionError);
    expect(error.message).toContain("'timeout'");
  });

  it.each([{ timeout: 0 }, { timeout: -1 }, { maxPixels: "9" }, { maxBytes: Number.NaN }])(
    "%j",
    async (options) => {
      const error = await failure(path, options);
      expect(error).toBeInstanceOf(OptionError);
      expect(error.message).toContain(Object.keys(options)[0]);
    },
  );

  it("a RawImage whose data do not fit", async () => {
    const error = await failure({ width: 3, height: 2, channels: 3, data: new Uint8Array(17) });
    expect(error).toBeInstanceOf(ImageError);
    expect(error.message).toMatch(/3 x 2 pixels of 3 channels take 18 bytes, data has 17/);
  });

  const formats = [
    "photo.jpg",
    "grey.jpg",
    "rgb-interlaced.png",
    "palette8.png",
    "lossy.webp",
    "rgb-raw.tiff",
  ].concat(["rgb-444.avif", "plain.gif", "interlaced.gif", "rgb24.bmp", "rle8.bmp", "palette4.bmp"]);
  it.each(formats)("%s, cut off anywhere", async (name) => {
    const whole = await readFile(pictureUrl(name));
    for (const part of [0.995, 0.9, 0.6, 0.3, 0.05]) {
      const cut = whole.subarray(0, Math.max(3, Math.floor(whole.length * part) - 20));
      const error = await failure(cut);
      expect(error, `${part}`).toBeInstanceOf(ImageError);
      expect(error.message).toMatch(/^bytes: /);
    }
  });

  it.each([
    "plain.gif",
    "interlaced.gif",
    "rle8.bmp",
    "rle4.bmp",
    "masks32.bmp",
    "rgb.png",
    "photo.jpg",
    "lossy.webp",
  ])("%s with any byte changed: a picture or an ImageError, never anything else", async (name) => {
    const whole = await readFile(pictureUrl(name));
    const places = noise(whole.length % 97, 240);
    for (let i = 0; i < places.length; i += 3) {
      const damaged = Uint8Array.from(whole);
      damaged[(places[i] * 256 + places[i + 1]) % (i % 2 ? whole.length : 60)] = places[i + 2];
      const result = await load_image(damaged, { maxPixels: 100_000 }).catch((error: unknown) => error);
      if (!(result instanceof RawImage)) expect(result).toBeInstanceOf(ImageError);
    }
  });
});

describe("limits hold before memory is taken", () => {
  /** Writes a size over the one in the header. */
  const patched = async (name: string, patch: (view: DataView) => void) => {
    const file = Uint8Array.from(await readFile(pictureUrl(name)));
    patch(new DataView(file.buffer));
    return file;
  };
  const bombs: [string, (view: DataView) => void][] = [
    ["rgb24.bmp", (view) => view.setInt32(18, 60_000_000, true)],
    ["rgb24.bmp", (view) => view.setInt32(18, 1_000_000, true)],
    ["rle8.bmp", (view) => view.setInt32(22, 2_000_000_000, true)],
    ["rle8.bmp", (view) => view.setInt32(22, -2_000_000_000, true)],
    ["plain.gif", (view) => view.setUint32(6, 0xffff_ffff)],
    ["rgb.png", (view) => view.setUint32(16, 50_000_000)],
  ];
  it.each(bombs)("%s that says it is huge", async (name, patch) => {
    const file = await patched(name, patch);
    const before = process.memoryUsage().arrayBuffers;
    expect(await failure(file)).toBeInstanceOf(ImageError);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2e6);
  });

  it.each([
    "photo.jpg",
    "rgb.png",
    "lossy.webp",
    "rgb-lzw.tiff",
    "slopes-420.avif",
    "plain.gif",
    "rgb24.bmp",
  ])("%s with more pixels than are allowed", async (name) => {
    const image = await load_image(pictureUrl(name));
    const pixels = image.width * image.height;
    await load_image(pictureUrl(name), { maxPixels: pixels });
    const error = await failure(pictureUrl(name), { maxPixels: pixels - 1 });
    expect(error).toBeInstanceOf(ImageError);
    expect(error.message).toMatch(new RegExp(`${image.width} x ${image.height} pixels, more than the limit`));
    expect(error).toMatchObject({ expected: pixels - 1, got: pixels });
  });

  it.each([path, base64, `data:image/png;base64,${base64}`, bytes, new Blob([new Uint8Array(bytes)])])(
    "more bytes than are allowed (%#)",
    async (source) => {
      const error = await failure(source, { maxBytes: 100 });
      expect(error).toBeInstanceOf(ImageError);
      expect(error.message).toContain("more than the limit of 100");
    },
  );
});

describe("from the network", () => {
  let server: Server;
  let origin: string;
  let closed = 0;
  const routes: Record<string, RequestListener> = {
    "/picture": (_, response) => response.end(bytes),
    "/moved": (_, response) => response.writeHead(302, { location: "/picture" }).end(),
    "/page": (_, response) => response.end("<!doctype html>"),
    "/silent": () => {},
    "/slow": (_, response) => void response.write(bytes.subarray(0, 50)),
    "/long": (_, response) => response.writeHead(200, { "content-length": 10 ** 12 }).write("x"),
    "/endless": (_, response) => {
      const timer = setInterval(() => response.write(Buffer.alloc(10_000)), 1);
      response.on("close", () => {
        closed++;
        clearInterval(timer);
      });
    },
  };

  beforeAll(async () => {
    server = createServer((request, response) => {
      const route = routes[request.url ?? ""];
      if (route === undefined) response.writeHead(404).end();
      else route(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  it("an address, and one that has moved", async () => {
    for (const route of ["/picture", "/moved"]) {
      expect(Buffer.compare((await load_image(origin + route)).data, expected.data)).toBe(0);
    }
  });

  it.each([
    ["/nothing", {}, /status 404/],
    ["/page", {}, /a web page/],
    ["/silent", { timeout: 0.05 }, /within 0.05 s/],
    ["/slow", { timeout: 0.1 }, /within 0.1 s/],
    ["/long", {}, /1000000000000 bytes or more, more than the limit/],
    ["/endless", { maxBytes: 50_000 }, /more than the limit of 50000/],
  ])("%s fails", async (route, options, message) => {
    const error = await failure(origin + route, options);
    expect(error).toBeInstanceOf(ImageError);
    expect(error.message).toMatch(message);
    expect(error.message).toContain(origin + route);
  });

  it("an endless answer is broken off", async () => {
    await failure(`${origin}/endless`, { maxBytes: 50_000 });
    await expect.poll(() => closed).toBeGreaterThan(0);
  });

  it("nobody answers", async () => {
    expect((await failure("http://127.0.0.1:9/cat.png")).message).toMatch(/cannot be fetched/);
  });

  it("a signal aborts, with its own reason", async () => {
    const controller = new AbortController();
    const waiting = failure(`${origin}/slow`, { signal: controller.signal });
    controller.abort(new Error("enough"));
    expect((await waiting).message).toBe("enough");
    expect((await failure(path, { signal: AbortSignal.abort(new Error("before")) })).message).toBe("before");
  });

  it("a fetch of one's own", async () => {
    const seen: string[] = [];
    const own = async (input: string | URL | Request) => {
      seen.push(String(input));
      return new Response(new Uint8Array(bytes));
    };
    await load_image("https://example.org/cat.png", { fetch: own as typeof fetch });
    expect(seen).toEqual(["https://example.org/cat.png"]);
  });
});

describe("names that mislead", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "pictures-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("the bytes decide, not the extension", async () => {
    const wrong = join(folder, "is-a.jpg");
    await writeFile(wrong, bytes);
    expect((await load_image(wrong)).width).toBe(37);
    const notes = join(folder, "notes.png");
    await writeFile(notes, "dear diary");
    const error = await failure(notes);
    expect(error).toBeInstanceOf(ImageError);
    expect(error.message).toContain(`${notes}: this is text`);
    const empty = join(folder, "empty.png");
    await writeFile(empty, "");
    expect((await failure(empty)).message).toContain(`${empty}: the file is empty`);
  });
});
