import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { CheckpointError, HubError, UnsupportedError } from "../../src/base/errors.ts";
import { BlockAccess, type ByteStore } from "../../src/hub/block_access.ts";
import { HubClient } from "../../src/hub/http.ts";
import { open } from "../../src/hub/open_browser.ts";
import type { Progress } from "../../src/hub/repository.ts";
import { StaticRepository } from "../../src/hub/static_repository.ts";
import { createStore } from "../../src/hub/store_browser.ts";
import { createFetch } from "../../src/hub/transport_browser.ts";
import { WebRepository } from "../../src/hub/web_repository.ts";
import { openWeights } from "../../src/hub/weights.ts";
import { COMMIT, MockHub, noise, onPath, PATIENCE, refuse, send } from "./mock_hub.ts";
import { fixture, rejection } from "./support.ts";

// The browser's half of the room, run here with the same `fetch`, `Response` and `caches` interfaces.

let hub: MockHub;
beforeAll(async () => {
  hub = await MockHub.start();
});
afterAll(() => hub.stop());

let kept: Map<string, Uint8Array>;
let store: ByteStore;
beforeEach(() => {
  hub.reset();
  kept = new Map();
  store = {
    get: async (key) => kept.get(key),
    put: async (key, bytes) => void kept.set(key, bytes.slice()),
  };
});
afterEach(() => {
  vi.unstubAllGlobals();
});

const client = (token?: string): HubClient => new HubClient(hub.endpoint, token, createFetch(), PATIENCE);

describe("a model of the Hub", () => {
  test("is read by parts, and read again without a request", async () => {
    for (const file of [
      "model-00001-of-00003.safetensors",
      "model-00002-of-00003.safetensors",
      "model-00003-of-00003.safetensors",
    ]) {
      hub.add(file, readFileSync(fixture(`sharded/${file}`)), true);
    }
    hub.add("model.safetensors.index.json", readFileSync(fixture("sharded/model.safetensors.index.json")));
    const seen: Progress[] = [];
    for (const round of [0, 1]) {
      hub.log = [];
      const options = { progress_callback: (progress: Progress) => seen.push(progress) };
      const repository = await WebRepository.open("org/model", options, client(), store);
      const weights = await openWeights(repository);
      expect(weights.names()).toHaveLength(23);
      expect([...new Float32Array((await weights.get("pre_layrnorm.weight").read()).buffer)]).toEqual(
        Array(6).fill(1),
      );
      await weights.close();
      expect(hub.log.length).toBe(round === 0 ? 2 + 2 * 3 : 1);
    }
    expect(seen.at(-1)?.loaded).toBe(seen.at(-1)?.total);
  });

  test("has the same errors", async () => {
    hub.add("sub/config.json", "{}");
    const repository = await WebRepository.open("org/model", { subfolder: "sub" }, client(), store);
    expect(await repository.list()).toEqual(["config.json"]);
    expect(await repository.json("config.json")).toEqual({});
    expect(await repository.has("none.json")).toBe(false);
    expect(await rejection(repository.text("none.json"))).toBeInstanceOf(HubError);
    expect(await rejection(repository.open("none.json"))).toBeInstanceOf(HubError);
    expect(await rejection(repository.has("../x"))).toBeInstanceOf(CheckpointError);
    hub.hooks.push(onPath(/./, (_, r) => refuse(r, 401, "GatedRepo")));
    expect((await rejection(WebRepository.open("org/model", {}, client(), store))).message).toMatch(/gated/);
  });

  test("keeps the token from the storage", async () => {
    hub.add("model.safetensors", noise(100), true);
    const repository = await WebRepository.open("org/model", {}, client("hf_abc"), store);
    await (await repository.open("model.safetensors")).read(0, 100);
    expect([...hub.tokens.hub]).toEqual(["Bearer hf_abc"]);
    expect([...hub.tokens.storage]).toEqual([]);
  });
});

describe("reading by blocks", () => {
  const bytes = noise(10_007);
  const access = (): BlockAccess => {
    hub.files.set("x", { bytes, lfs: false });
    const subject = { id: "org/model", revision: COMMIT, path: "x" };
    const url = `${hub.endpoint}/org/model/resolve/${COMMIT}/x`;
    return new BlockAccess({ client: client(), url, subject, size: bytes.length, store, block: 1000 });
  };

  test.each([
    [0, 10_007],
    [0, 1],
    [999, 2],
    [1000, 1000],
    [10_006, 1],
    [2500, 5003],
    [10_007, 0],
  ])("%i and %i on", async (offset, length) => {
    const got = await access().read(offset, length);
    expect(Buffer.from(got).equals(bytes.subarray(offset, offset + length))).toBe(true);
    expect(hub.log.length).toBe(
      length === 0 ? 0 : Math.floor((offset + length - 1) / 1000) - Math.floor(offset / 1000) + 1,
    );
  });

  test("neighbours share a request, even where nothing can be kept", async () => {
    store = { get: async () => undefined, put: async () => {} };
    const file = access();
    await file.read(0, 8);
    await file.read(8, 500);
    await file.read(508, 600);
    expect(hub.log).toHaveLength(2);
  });

  test("goes on after a cut, refuses lies and reads past the end", async () => {
    hub.hooks.push(
      onPath(
        /x$/,
        (_, response) => {
          response.writeHead(206, { "content-range": "bytes 0-999/10007", "content-length": 1000 });
          response.write(bytes.subarray(0, 100), () => response.destroy());
        },
        1,
      ),
    );
    expect(Buffer.from(await access().read(0, 1000)).equals(bytes.subarray(0, 1000))).toBe(true);
    expect(hub.log.at(-1)).toMatch(/bytes=100-999$/);
    kept.clear();
    for (const [status, range, length, message] of [
      [200, "", 1000, /does not send parts/],
      [206, "bytes 1-1000/10007", 1000, /other bytes/],
      [206, "bytes 0-999/10007", 1001, /more bytes/],
      [206, "", 0, /broke off at byte 0 of 1000/],
    ] as const) {
      hub.hooks = [
        onPath(
          /x$/,
          (_, r) => void r.writeHead(status, { "content-range": range }).end(bytes.subarray(0, length)),
        ),
      ];
      expect((await rejection(access().read(0, 1000))).message).toMatch(message);
    }
    expect(await rejection(access().read(10_000, 8))).toBeInstanceOf(HubError);
    expect(kept.size).toBe(0);
  });
});

describe("a folder of a web server", () => {
  const folder = (): StaticRepository =>
    new StaticRepository("./demo", new HubClient(`${hub.endpoint}/demo`, undefined, createFetch(), PATIENCE));

  test("has the files that answer", async () => {
    const model = { bytes: readFileSync(fixture("dtypes.safetensors")), lfs: false };
    hub.hooks.push(
      onPath(/^\/demo\/model\.safetensors$/, (request, response) => send(request, response, model)),
      onPath(/^\/demo\/a%20b\.json$/, (request, response) =>
        send(request, response, { bytes: Buffer.from("[1]"), lfs: false }),
      ),
      onPath(/^\/demo\//, (_, response) => refuse(response, 404)),
    );
    const repository = folder();
    expect(await repository.json("a b.json")).toEqual([1]);
    expect(await repository.has("none.json")).toBe(false);
    expect(await rejection(repository.text("none.json"))).toBeInstanceOf(CheckpointError);
    expect(await rejection(repository.open("none.json"))).toBeInstanceOf(CheckpointError);
    const weights = await openWeights(repository);
    expect(weights.names()).toHaveLength(12);
    expect(await repository.list()).toEqual(["a b.json", "model.safetensors"]);
    await weights.close();
  });

  test("and errors where the server has trouble", async () => {
    hub.hooks.push(onPath(/^\/demo\//, (_, response) => refuse(response, 500)));
    expect(await rejection(folder().has("config.json"))).toBeInstanceOf(HubError);
  });
});

describe("names in a browser", () => {
  beforeEach(() => {
    vi.stubGlobal("location", { href: `${hub.endpoint}/page/index.html` });
    hub.hooks.push(
      onPath(/\/models\/x\/config\.json$/, (request, response) =>
        send(request, response, { bytes: Buffer.from("{}"), lfs: false }),
      ),
    );
  });

  test.each(["./models/x", "../models/x", "/page/models/x/"])("%s beside the page", async (name) => {
    expect(await (await open(name, {})).json("config.json")).toEqual({});
  });

  test("an address, with a subfolder", async () => {
    expect(await (await open(`${hub.endpoint}/models`, { subfolder: "x/" })).json("config.json")).toEqual({});
  });

  test("what cannot be is refused", async () => {
    expect(await rejection(open("what is this?", {}))).toBeInstanceOf(CheckpointError);
    expect(await rejection(open("models/x/y", {}))).toBeInstanceOf(CheckpointError);
    expect(await rejection(open("org/model", { cache_dir: "/x" }))).toBeInstanceOf(UnsupportedError);
    expect(await rejection(open("org/model", { local_files_only: true }))).toBeInstanceOf(UnsupportedError);
    expect(await rejection(open("org/model", { token: true }))).toBeInstanceOf(UnsupportedError);
  });
});

test("the browser's cache keeps bytes, and goes without where it cannot", async () => {
  const responses = new Map<string, Response>();
  const cache = {
    match: async (key: string) => responses.get(key)?.clone(),
    put: async (key: string, response: Response) => {
      if (key.includes("full")) throw new DOMException("full", "QuotaExceededError");
      responses.set(key, response);
    },
  };
  vi.stubGlobal("caches", { open: async () => cache });
  const made = createStore();
  const part = new Uint8Array([9, 1, 2, 3]).subarray(1);
  await made.put("https://x/a", part);
  expect(await made.get("https://x/a")).toEqual(new Uint8Array([1, 2, 3]));
  expect(await createStore(true).get("https://x/a")).toBeUndefined();
  const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
  await made.put("https://x/full", part);
  expect(await made.get("https://x/full")).toBeUndefined();
  expect(warned).toHaveBeenCalledOnce();
  vi.unstubAllGlobals();
  vi.stubGlobal("caches", undefined);
  await createStore().put("https://x/a", part);
  expect(await createStore().get("https://x/a")).toBeUndefined();
});
