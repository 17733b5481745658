import { execFile } from "node:child_process";
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import type { ModelFromPretrainedOptions } from "../../src/api/pretrained.ts";
import { env } from "../../src/base/env.ts";
import { OptionError } from "../../src/base/errors.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { folderOf } from "../models/expected.ts";

const disk = vi.hoisted(() => ({ free: undefined as number | undefined }));
vi.mock("../../src/hub/disk_node.ts", async (original) => ({
  ...(await original<object>()),
  freeBytes: async () => disk.free,
}));

let root: string;
let source: string;
let warnings: string[];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "llava-packed-"));
  source = join(root, "model");
  cpSync(folderOf("v5-f16"), source, { recursive: true });
  vi.stubEnv("LLAVA_CACHE", join(root, "cache"));
  warnings = [];
  vi.spyOn(env, "logger").mockImplementation((text) => void warnings.push(text));
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  disk.free = undefined;
  rmSync(root, { recursive: true, force: true });
});

const IDS = new Tensor("int32", [1, 7], Int32Array.from([1, 40, 41, 42, 43, 9, 17]));

/** What a model that was loaded like this computes, and whether it was packed or loaded. */
async function start(
  options: ModelFromPretrainedOptions = {},
): Promise<{ logits: number[]; status: string }> {
  let status = "";
  const model = await LlavaForConditionalGeneration.from_pretrained(source, {
    dtype: "q4",
    device: "reference",
    packedCopy: true,
    progress_callback: (progress) => {
      status = progress.status;
    },
    ...options,
  });
  const { logits } = await model.forward({ input_ids: IDS });
  await model.dispose();
  return { logits: Array.from(logits.data, Number), status };
}

function packed(): string[] {
  try {
    return readdirSync(join(root, "cache/packed"));
  } catch {
    return [];
  }
}

/** The only copy's file. */
function fileOf(name: string): string {
  const copies = packed();
  expect(copies.length).toBe(1);
  return join(root, "cache/packed", copies[0], name);
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at < 0 ? bytes.length + at : at] ^= 16;
  writeFileSync(path, bytes);
}

describe.each(["q8", "q4"] as const)("%s", (dtype) => {
  test("the next start reads what this one has packed, on every device", async () => {
    const first = await start({ dtype, device: "cpu" });
    expect(first.status).toBe("pack");
    for (const device of ["cpu", "wasm", "reference"] as const) {
      const next = await start({ dtype, device });
      expect(next.status, device).toBe("load");
      const packedThere = await start({ dtype, device, packedCopy: false });
      expect(packedThere.status).toBe("pack");
      expect(next.logits, device).toEqual(packedThere.logits);
    }
    expect((await start({ dtype, device: "cpu" })).logits).toEqual(first.logits);
    expect(packed().length).toBe(1);
    expect(warnings).toEqual([]);
  });
});

test("each dtype has its own", async () => {
  await start({ dtype: "q4" });
  await start({ dtype: "q8" });
  expect(packed().length).toBe(2);
  expect((await start({ dtype: "q8" })).status).toBe("load");
});

test("several that start together do not disturb each other", async () => {
  const all = await Promise.all([start(), start({ device: "cpu" }), start()]);
  expect(all[2].logits).toEqual(all[0].logits);
  expect(packed().length).toBe(1);
  expect((await start()).status).toBe("load");
  expect(warnings).toEqual([]);
});

describe("damage is noticed, and answers stay right", () => {
  const damages: [string, () => void][] = [
    ["the last byte", () => flip(fileOf("packed.safetensors"), -1)],
    [
      "a byte in the middle",
      () => flip(fileOf("packed.safetensors"), Math.floor(statSync(fileOf("packed.safetensors")).size / 2)),
    ],
    ["a byte of the header", () => flip(fileOf("packed.safetensors"), 40)],
    ["cut off", () => truncateSync(fileOf("packed.safetensors"), 1000)],
    ["empty", () => truncateSync(fileOf("packed.safetensors"), 0)],
    ["a byte of the note", () => flip(fileOf("copy.json"), 30)],
    ["no note", () => rmSync(fileOf("copy.json"))],
    ["no bytes", () => rmSync(fileOf("packed.safetensors"))],
  ];
  test.each(damages)("%s", async (name, damage) => {
    const device = name.includes("middle") ? "cpu" : "reference";
    const { logits } = await start({ device });
    damage();
    expect((await start({ device })).logits).toEqual(logits);
    if (name !== "no bytes") expect(warnings.join()).toMatch(/packed copy of the weights.*made anew/);
    // The next start makes it anew, if this one has not.
    await start();
    expect(await start({ device })).toEqual({ logits, status: "load" });
    expect(packed().length).toBe(1);
  });
});

test("another file at the same place has no part in it, and its old copy goes", async () => {
  await start();
  const [old] = packed();
  const later = new Date(Date.now() + 5000);
  utimesSync(join(source, "model.safetensors"), later, later);
  expect((await start()).status).toBe("pack");
  expect(packed().length).toBe(1);
  expect(packed()[0]).not.toBe(old);
});

test("nothing is kept where nobody wants it, or of a model that is small", async () => {
  await start({ packedCopy: false });
  await start({ packedCopy: undefined });
  await start({ dtype: "float32" });
  expect(packed()).toEqual([]);
  await expect(start({ packedCopy: "yes" as unknown as boolean })).rejects.toThrow(OptionError);
});

test("a full disk, or a folder that cannot be written to, is a warning", async () => {
  const { logits } = await start({ packedCopy: false });
  disk.free = 1000;
  expect((await start()).logits).toEqual(logits);
  expect(warnings.join()).toMatch(/no copy of them can be kept in .*cache.packed.*1000 are free/);
  expect(packed()).toEqual([]);
  vi.stubEnv("LLAVA_CACHE", join(source, "config.json"));
  expect((await start()).logits).toEqual(logits);
  expect(warnings.length).toBe(2);
});

test("an abort leaves nothing", async () => {
  const abort = new AbortController();
  const progress_callback = ({ loaded }: { loaded: number }): void => {
    if (loaded > 0) abort.abort(new Error("enough"));
  };
  await expect(start({ signal: abort.signal, progress_callback })).rejects.toThrow("enough");
  expect(packed()).toEqual([]);
});

test("kill -9 while it packs: what it leaves is never believed, and is swept away", async () => {
  const { logits } = await start({ packedCopy: false });
  // What `npm install` has built: it starts faster.
  const library = new URL("../../dist/src/index.js", import.meta.url).href;
  const code = `
    import { LlavaForConditionalGeneration } from ${JSON.stringify(library)};
    await LlavaForConditionalGeneration.from_pretrained(${JSON.stringify(source)}, {
      dtype: "q4",
      device: "cpu",
      packedCopy: true,
      progress_callback: ({ loaded, total }) => loaded > total / 2 && process.kill(process.pid, "SIGKILL"),
    });`;
  const signal = await new Promise((resolve) => {
    execFile("node", ["--input-type=module", "-e", code], (error) => resolve(error?.signal));
  });
  expect(signal).toBe("SIGKILL");
  expect(packed().map((name) => name.split(".")[1])).toEqual(["writing"]);
  expect(await start()).toEqual({ logits, status: "pack" });
  expect(packed()[0]).toMatch(/^[0-9a-f]{32}$/);
  expect(await start()).toEqual({ logits, status: "load" });
  expect(warnings).toEqual([]);
});
