import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { HubError } from "../../src/base/errors.ts";
import { HubRepository } from "../../src/hub/hub_repository_node.ts";
import type { HubOptions, Progress } from "../../src/hub/repository.ts";
import { COMMIT, etagOf, MockHub, noise, onPath, PIECE, type SettingsChanges, send } from "./mock_hub.ts";
import { folder, rejection } from "./support.ts";

const BIG = "model.safetensors";
const SMALL = "tokenizer.json";
/** Five pieces, the last one short. */
const SIZE = 4 * PIECE + 4321;

let hub: MockHub;
beforeAll(async () => {
  hub = await MockHub.start();
});
afterAll(() => hub.stop());

let big: Buffer;
let small: Buffer;
let cache: string;
beforeEach(() => {
  hub.reset();
  big = hub.add(BIG, noise(SIZE), true);
  small = hub.add(SMALL, noise(5000, 2));
  cache = folder();
});

const model = (): string => join(cache, "models--org--model");
const blobs = (): string[] =>
  existsSync(join(model(), "blobs")) ? readdirSync(join(model(), "blobs")).sort() : [];
const unfinished = (): string[] => blobs().filter((name) => name.includes("incomplete"));
const etag = (path: string): string => etagOf(hub.files.get(path)!);
const bodyRequests = (): string[] => hub.log.filter((line) => line.startsWith(`GET /${BIG}`));

async function get(path: string, options: HubOptions = {}, changes: SettingsChanges = {}): Promise<Buffer> {
  const repository = await HubRepository.open("org/model", options, hub.settings(cache, changes));
  const access = await repository.open(path);
  const bytes = await access.read(0, access.size);
  await access.close();
  return Buffer.from(bytes);
}

/** After a failure: nothing has the file's name. */
function expectNothingFinished(path = BIG): void {
  expect(existsSync(join(model(), "blobs", etag(path)))).toBe(false);
  expect(existsSync(join(model(), "snapshots", COMMIT, path))).toBe(false);
}

test("a large file comes in parts, a small one whole, each under its own name and once", async () => {
  expect((await get(BIG)).equals(big)).toBe(true);
  const ranges = bodyRequests()
    .map((line) => line.split(" ")[2])
    .sort();
  const starts = [0, 1, 2, 3, 4].map((i) => `bytes=${i * PIECE}-${Math.min(SIZE, (i + 1) * PIECE) - 1}`);
  expect(ranges).toEqual(starts.sort());
  expect((await get(SMALL)).equals(small)).toBe(true);
  expect(hub.log.filter((line) => line.includes(SMALL))).toEqual([
    `GET /org/model/resolve/${COMMIT}/${SMALL}`,
  ]);
  expect(blobs()).toEqual([etag(BIG), etag(SMALL)].sort());

  hub.log = [];
  expect((await get(BIG)).equals(big)).toBe(true);
  expect(hub.log).toEqual(["GET /api/models/org/model/revision/main"]);
});

test("four requests run at a time", async () => {
  let [open, most, asked] = [0, 0, 0];
  const held: (() => void)[] = [];
  hub.hooks.push((request, response, url) => {
    if (url.pathname !== `/${BIG}`) return false;
    most = Math.max(most, ++open);
    held.push(() => {
      open--;
      send(request, response, hub.files.get(BIG)!);
    });
    // The first answer shows that there are parts. The four others wait for each other.
    if (++asked === 1 || most >= 4) for (const answer of held.splice(0)) setImmediate(answer);
    return true;
  });
  await get(BIG);
  expect(most).toBe(4);
});

test("an empty file", async () => {
  hub.add("empty.txt", "");
  expect((await get("empty.txt")).length).toBe(0);
});

test("progress rises to the whole", async () => {
  const seen: Progress[] = [];
  await get(BIG, { progress_callback: (progress) => seen.push(progress) });
  expect(
    seen.every(({ status, file, total }) => status === "download" && file === BIG && total === SIZE),
  ).toBe(true);
  const loaded = seen.map((progress) => progress.loaded);
  expect(loaded).toEqual([...loaded].sort((a, b) => a - b));
  expect(loaded[0]).toBe(0);
  expect(loaded.at(-1)).toBe(SIZE);
});

/** Sends the beginning of what was asked for, then cuts the connection. */
const cut = (bytes: number) =>
  onPath(new RegExp(BIG), (request, response, url) => {
    if (!url.searchParams.has("signature")) return false;
    const [from, to] = /(\d+)-(\d+)/
      .exec(request.headers.range ?? `0-${SIZE - 1}`)!
      .slice(1)
      .map(Number);
    const isPart = request.headers.range !== undefined;
    response.writeHead(isPart ? 206 : 200, {
      "content-length": to + 1 - from,
      ...(isPart ? { "content-range": `bytes ${from}-${to}/${SIZE}` } : {}),
    });
    response.write(big.subarray(from, Math.min(from + bytes, to + 1)), () => response.destroy());
    return true;
  });

describe("a server that breaks off", () => {
  test("is asked for the rest, not for what came", async () => {
    const hook = cut(10_000);
    let cuts = 0;
    hub.hooks.push((...args) => cuts < 3 && hook(...args) && ++cuts > 0);
    expect((await get(BIG)).equals(big)).toBe(true);
    expect(bodyRequests().some((line) => line.includes("bytes=10000-"))).toBe(true);
    expect(unfinished()).toEqual([]);
  });

  test("and never sends more than a few bytes, is still read to the end", async () => {
    hub.hooks.push(cut(30_000));
    expect((await get(BIG)).equals(big)).toBe(true);
  });

  test("and sends nothing, fails in words; what came stays, and the next process goes on", async () => {
    let sent = 0;
    hub.hooks.push(onPath(/^\/model/, (_, response) => (++sent > 2 ? response.destroy() : false)));
    const error = (await rejection(get(BIG))) as HubError;
    expect(error).toBeInstanceOf(HubError);
    expect(error.message).toMatch(/^org\/model\/model\.safetensors: .*broke off/);
    expectNothingFinished();
    expect(unfinished()).toHaveLength(2);

    hub.hooks = [];
    hub.log = [];
    const seen: Progress[] = [];
    expect((await get(BIG, { progress_callback: (p) => seen.push(p) })).equals(big)).toBe(true);
    expect(seen[0].loaded).toBe(2 * PIECE);
    expect(bodyRequests()).toHaveLength(3);
    expect(unfinished()).toEqual([]);
  });

  test("in the middle of the Hub's own answer", async () => {
    hub.hooks.push(
      onPath(
        /^\/api/,
        (_, response) => {
          response.writeHead(200, { "content-length": 1000 });
          response.write('{"sha": "', () => response.destroy());
        },
        2,
      ),
    );
    expect((await get(SMALL)).equals(small)).toBe(true);
  });
});

describe("a server that stalls", () => {
  const impatient = { patience: { stall: 150 } };

  test("before it answers", async () => {
    hub.hooks.push(onPath(/^\/model/, () => {}, 1));
    expect((await get(BIG, {}, impatient)).equals(big)).toBe(true);
  });

  test("in the middle", async () => {
    hub.hooks.push(
      onPath(
        /^\/model/,
        (_, response) => {
          response.writeHead(206, { "content-range": `bytes 0-${PIECE - 1}/${SIZE}` });
          response.write(big.subarray(0, 100));
        },
        1,
      ),
    );
    expect((await get(BIG, {}, impatient)).equals(big)).toBe(true);
    expect(bodyRequests().some((line) => line.includes("bytes=100-"))).toBe(true);
  });

  test("for ever", async () => {
    hub.hooks.push(onPath(/tokenizer/, () => {}));
    const error = (await rejection(get(SMALL, {}, { patience: { stall: 400 } }))) as HubError;
    expect(error.message).toMatch(/nothing came for 0.4 s/);
  });

  test("but a slow one is waited for", async () => {
    hub.hooks.push(
      onPath(/tokenizer/, (_, response) => {
        response.writeHead(200, { "content-length": small.length });
        let at = 0;
        const drip = setInterval(() => {
          response.write(small.subarray(at, at + 1000));
          at += 1000;
          if (at >= small.length) {
            clearInterval(drip);
            response.end();
          }
        }, 100);
      }),
    );
    expect((await get(SMALL, {}, { patience: { stall: 400 } })).equals(small)).toBe(true);
  });
});

describe("a damaged file", () => {
  const damage = (path: string, count: number) =>
    onPath(
      new RegExp(`${path}$`),
      (request, response, url) => {
        const file = hub.files.get(path)!;
        if (file.lfs && !url.searchParams.has("signature")) return false;
        const bytes = Buffer.from(file.bytes);
        bytes[3] ^= 1;
        send(request, response, { ...file, bytes });
        return true;
      },
      count,
    );

  test.each([BIG, SMALL])("%s is fetched again", async (path) => {
    // All of the first round's parts are of the damaged version, so that their ETags agree.
    hub.hooks.push(damage(path, path === BIG ? 5 : 1));
    expect((await get(path)).equals(hub.files.get(path)!.bytes)).toBe(true);
  });

  test.each([BIG, SMALL])(
    "%s that stays damaged never gets its name, and nothing of it stays",
    async (path) => {
      hub.hooks.push(damage(path, Infinity));
      const error = (await rejection(get(path))) as HubError;
      expect(error).toBeInstanceOf(HubError);
      expect(error.message).toMatch(/damaged in transfer/);
      expect(error.message).toContain(path);
      expect(error.expected).toBe(etag(path));
      expectNothingFinished(path);
      expect(blobs()).toEqual([]);
    },
  );

  test("what a former process left wrong on the disk is noticed", async () => {
    hub.hooks.push(
      cut(PIECE / 2),
      onPath(/^\/model/, (_, response) => response.destroy()),
    );
    let sent = 0;
    hub.hooks.unshift(onPath(/^\/model/, (_, response) => (++sent > 2 ? response.destroy() : false)));
    await rejection(get(BIG));
    const partial = join(model(), "blobs", `${etag(BIG)}.llava.incomplete`);
    const bytes = readFileSync(partial);
    bytes[7] ^= 1;
    writeFileSync(partial, bytes);
    hub.hooks = [];
    expect((await get(BIG)).equals(big)).toBe(true);
  });

  test("notes of another size, or that make no sense, are not believed", async () => {
    for (const notes of [
      { size: SIZE - 1, done: [[0, SIZE - 1]] },
      { size: SIZE, done: [[0, SIZE + 1]] },
      { size: SIZE, done: [[5, 2]] },
      { size: SIZE, done: "all" },
      "x",
    ]) {
      cache = folder();
      mkdirSync(join(model(), "blobs"), { recursive: true });
      const partial = join(model(), "blobs", `${etag(BIG)}.llava.incomplete`);
      writeFileSync(partial, Buffer.alloc(SIZE));
      writeFileSync(`${partial}.json`, JSON.stringify(notes));
      hub.log = [];
      expect((await get(BIG)).equals(big)).toBe(true);
      expect(bodyRequests()).toHaveLength(5);
    }
  });
});

describe("a server that lies", () => {
  const lie = (act: Parameters<typeof onPath>[1]) => onPath(/^\/model/, act);

  test.each<[string, Parameters<typeof onPath>[1], RegExp]>([
    [
      "about the whole length",
      (_, r) =>
        void r.writeHead(206, { "content-range": `bytes 0-99/${SIZE + 1}` }).end(big.subarray(0, 100)),
      /list says/,
    ],
    [
      "about the length of one piece",
      (_, r) => void r.writeHead(200, { "content-length": SIZE - 1 }).end(big.subarray(1)),
      /list says/,
    ],
    [
      "about where a part begins",
      (_, r) =>
        void r
          .writeHead(206, { "content-range": `bytes 1-${PIECE}/${SIZE}` })
          .end(big.subarray(1, PIECE + 1)),
      /other bytes/,
    ],
    [
      "about where a part ends",
      (_, r) =>
        void r
          .writeHead(206, { "content-range": `bytes 0-${PIECE}/${SIZE}` })
          .end(big.subarray(0, PIECE + 1)),
      /other bytes/,
    ],
    ["with no Content-Range", (_, r) => void r.writeHead(206).end(big.subarray(0, PIECE)), /other bytes/],
    [
      "with too many bytes",
      (_, r) => void r.writeHead(206, { "content-range": `bytes 0-9/${SIZE}` }).end(big.subarray(0, 11)),
      /more bytes/,
    ],
    [
      "with a compressed part",
      (_, r) =>
        void r
          .writeHead(206, { "content-range": `bytes 0-9/${SIZE}`, "content-encoding": "gzip" })
          .end(big.subarray(0, 10)),
      /no bytes that can be used|reached|broke off/,
    ],
    ["with no content", (_, r) => void r.writeHead(204).end(), /no bytes that can be used/],
  ])("%s", async (_, act, message) => {
    hub.hooks.push(lie(act));
    const error = (await rejection(get(BIG))) as HubError;
    expect(error).toBeInstanceOf(HubError);
    expect(error.message).toMatch(message);
    expectNothingFinished();
  });

  test("too short without saying so", async () => {
    hub.hooks.push(onPath(/tokenizer/, (_, r) => void r.writeHead(200).end(small.subarray(0, 4999))));
    const error = await rejection(get(SMALL));
    expect(error.message).toMatch(/broke off at byte 4999 of 5000|more bytes|other bytes|whole file/);
    expectNothingFinished(SMALL);
  });

  test("too long without saying so", async () => {
    hub.hooks.push(onPath(/tokenizer/, (_, r) => void r.writeHead(200).end(Buffer.concat([small, small]))));
    expect((await rejection(get(SMALL))).message).toMatch(/more bytes/);
    expectNothingFinished(SMALL);
  });

  test("sending less of a part than was asked for is no lie", async () => {
    hub.hooks.push(
      lie((request, response) => {
        const [from, to] = /(\d+)-(\d+)/.exec(request.headers.range!)!.slice(1).map(Number);
        const part = big.subarray(from, Math.min(from + 40_000, to + 1));
        response
          .writeHead(206, { "content-range": `bytes ${from}-${from + part.length - 1}/${SIZE}` })
          .end(part);
      }),
    );
    expect((await get(BIG)).equals(big)).toBe(true);
  });
});

describe("a server without parts", () => {
  const whole = (act?: (bytes: Buffer) => Buffer) =>
    onPath(/^\/model/, (_, response) => {
      response.writeHead(200, { "content-length": SIZE });
      const bytes = act?.(big) ?? big;
      response.write(bytes, () => (bytes.length < SIZE ? response.destroy() : response.end()));
    });

  test("sends everything at once", async () => {
    hub.hooks.push(whole());
    expect((await get(BIG)).equals(big)).toBe(true);
    expect(bodyRequests()).toHaveLength(1);
  });

  test("and breaks off, is asked from the beginning", async () => {
    let left = 2;
    hub.hooks.push(whole((bytes) => (left-- > 0 ? bytes.subarray(0, SIZE / 2) : bytes)));
    expect((await get(BIG)).equals(big)).toBe(true);
  });
});

test("a file that changes between two parts is not put together of both", async () => {
  const other = { bytes: noise(SIZE, 9), lfs: true };
  let served = 0;
  hub.hooks.push(
    onPath(/^\/model/, (request, response) => {
      // Ignores If-Range, as some servers do.
      request.headers["if-range"] = undefined;
      send(request, response, served++ === 0 ? other : hub.files.get(BIG)!);
    }),
  );
  expect((await get(BIG)).equals(big)).toBe(true);
});

test("what was begun under another ETag is begun again", async () => {
  let sent = 0;
  hub.hooks.push(
    onPath(/^\/model/, (request, response) =>
      ++sent > 2 ? response.destroy() : send(request, response, { bytes: noise(SIZE, 9), lfs: true }),
    ),
  );
  await rejection(get(BIG));
  hub.hooks = [];
  expect((await get(BIG)).equals(big)).toBe(true);
});

describe("stopping", () => {
  test("rejects with the reason, keeps what came, and lets the next one in", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    let sent = 0;
    hub.hooks.push(onPath(/^\/model/, () => (++sent > 2 ? controller.abort(reason) : false)));
    expect(await rejection(get(BIG, { signal: controller.signal }))).toBe(reason);
    expectNothingFinished();
    hub.hooks = [];
    hub.log = [];
    expect((await get(BIG)).equals(big)).toBe(true);
    expect(bodyRequests().length).toBeLessThan(5);
  });

  test("an error of the progress callback ends it", async () => {
    const reason = new Error("callback");
    const options: HubOptions = {
      progress_callback: ({ loaded }) => {
        if (loaded > 0) throw reason;
      },
    };
    expect(await rejection(get(BIG, options))).toBe(reason);
  });
});

test("two at a time bring a file once", async () => {
  const [a, b] = await Promise.all([get(BIG), get(BIG)]);
  expect(a.equals(big) && b.equals(big)).toBe(true);
  expect(bodyRequests()).toHaveLength(5);
});

test("force_download brings it again", async () => {
  await get(BIG);
  hub.log = [];
  await get(BIG, { force_download: true });
  expect(bodyRequests()).toHaveLength(5);
});

test("prepare brings what is missing, each file once, the disk checked first", async () => {
  hub.add("a.json", "{}");
  hub.add("b.json", "[]");
  const repository = await HubRepository.open("org/model", {}, hub.settings(cache));
  await repository.prepare(["a.json", "b.json", BIG]);
  expect(blobs()).toHaveLength(3);
  hub.log = [];
  await repository.prepare(["a.json", "b.json", BIG]);
  expect(await repository.text("b.json")).toBe("[]");
  expect(hub.log).toEqual([]);
});
