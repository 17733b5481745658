import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { env } from "../../src/base/env.ts";
import { CheckpointError, HubError } from "../../src/base/errors.ts";
import { HubRepository } from "../../src/hub/hub_repository_node.ts";
import type { HubOptions } from "../../src/hub/repository.ts";
import type { HubSettings } from "../../src/hub/settings_node.ts";
import { openWeights } from "../../src/hub/weights.ts";
import {
  COMMIT,
  etagOf,
  json,
  MockHub,
  noise,
  OLD_COMMIT,
  onPath,
  refuse,
  type SettingsChanges,
} from "./mock_hub.ts";
import { entry, folder, rejection, safetensors } from "./support.ts";

let hub: MockHub;
beforeAll(async () => {
  hub = await MockHub.start();
});
afterAll(() => hub.stop());

let cache: string;
let said: string[];
beforeEach(() => {
  hub.reset();
  hub.add("config.json", '{"model_type": "llava"}');
  hub.add("model.safetensors", safetensors({ a: entry("F32", [1], 0, 4) }, 4), true);
  hub.add("sub/folder/chat template.jinja", "{{ messages }}");
  cache = folder();
  said = [];
  vi.spyOn(env, "logger").mockImplementation((message) => said.push(message));
});
afterEach(() => {
  vi.restoreAllMocks();
});

const open = (
  options: HubOptions = {},
  changes: SettingsChanges = {},
  id = "org/model",
): Promise<HubRepository> => HubRepository.open(id, options, hub.settings(cache, changes));
const model = (...path: string[]): string => join(cache, "models--org--model", ...path);
const refused = async (promise: Promise<unknown>): Promise<HubError> => {
  const error = await rejection(promise);
  expect(error).toBeInstanceOf(HubError);
  return error as HubError;
};

describe("the cache is laid out as huggingface_hub lays it out", () => {
  test("refs, blobs, links, locks, marks of what is not there", async () => {
    const repository = await open();
    expect(await repository.text("config.json")).toContain("llava");
    expect(await repository.text("sub/folder/chat template.jinja")).toBe("{{ messages }}");
    expect(await repository.has("generation_config.json")).toBe(false);
    expect(await repository.has("model.safetensors")).toBe(true);
    const blob = etagOf(hub.files.get("config.json")!);
    expect(readFileSync(model("refs", "main"), "utf8")).toBe(COMMIT);
    expect(readlinkSync(model("snapshots", COMMIT, "config.json"))).toBe(`../../blobs/${blob}`);
    expect(readlinkSync(model("snapshots", COMMIT, "sub/folder/chat template.jinja"))).toMatch(
      /^\.\.\/\.\.\/\.\.\/\.\.\/blobs\//,
    );
    expect(existsSync(model(".no_exist", COMMIT, "generation_config.json"))).toBe(true);
    expect(readdirSync(model("blobs"))).toHaveLength(2);
    expect(readdirSync(join(cache, ".locks", "models--org--model"))).toEqual([]);
    expect(readFileSync(join(cache, "CACHEDIR.TAG"), "utf8")).toMatch(
      /^Signature: 8a477f597d28d172789f06886806bc55/,
    );
    expect(repository.folder).toBe(model("snapshots", COMMIT));
  });

  test("one that Python wrote is read, without a file being fetched", async () => {
    // As snapshot_download writes it (tests/fixtures/hub/python_cache.json): without CACHEDIR.TAG, with .locks of its own.
    const tree = JSON.parse(
      readFileSync(new URL("../fixtures/hub/python_cache.json", import.meta.url), "utf8"),
    ) as {
      commit: string;
      files: Record<string, string>;
      links: Record<string, string>;
    };
    for (const [path, content] of Object.entries(tree.files)) {
      mkdirSync(join(cache, path, ".."), { recursive: true });
      writeFileSync(join(cache, path), content);
    }
    for (const [path, target] of Object.entries(tree.links)) {
      mkdirSync(join(cache, path, ".."), { recursive: true });
      symlinkSync(target, join(cache, path));
    }
    for (const options of [{}, { revision: "main" }, { revision: tree.commit }]) {
      const repository = await open(options, { offline: "a test" }, "org/python");
      expect(await repository.json("config.json")).toEqual({ written_by: "python" });
      expect(await repository.list()).toEqual(["config.json", "sub/note.txt"]);
      expect(await repository.has("generation_config.json")).toBe(false);
    }
    expect(hub.log).toEqual([]);
  });

  test("without links a snapshot holds the files themselves", async () => {
    const repository = await open({}, { symlinks: false });
    expect(await repository.text("config.json")).toContain("llava");
    expect(lstatSync(model("snapshots", COMMIT, "config.json")).isFile()).toBe(true);
    expect(readdirSync(model("blobs"))).toEqual([]);
    hub.log = [];
    expect(await (await open({}, { symlinks: false })).text("config.json")).toContain("llava");
    expect(hub.log).toHaveLength(1);
  });

  test("a link that leads nowhere, and a file cut short, are fetched again", async () => {
    await (await open()).text("config.json");
    const blob = model("blobs", etagOf(hub.files.get("config.json")!));
    rmSync(blob);
    expect(await (await open()).text("config.json")).toContain("llava");
    truncateSync(blob, 5);
    expect(await (await open()).text("config.json")).toContain("llava");
  });

  test("content that another commit has already is linked, not fetched", async () => {
    await (await open()).text("config.json");
    hub.refs.set("main", OLD_COMMIT);
    hub.log = [];
    await (await open()).text("config.json");
    expect(hub.log).toEqual(["GET /api/models/org/model/revision/main"]);
    expect(readFileSync(model("refs", "main"), "utf8")).toBe(OLD_COMMIT);
  });
});

describe("revisions", () => {
  test("a branch with a slash", async () => {
    hub.refs.set("refs/pr/1", OLD_COMMIT);
    const repository = await open({ revision: "refs/pr/1" });
    await repository.text("config.json");
    expect(readFileSync(model("refs", "refs/pr/1"), "utf8")).toBe(OLD_COMMIT);
    expect(existsSync(model("snapshots", OLD_COMMIT, "config.json"))).toBe(true);
  });

  test("a commit whose files are there needs no network", async () => {
    await (await open()).text("config.json");
    hub.log = [];
    const repository = await open({ revision: COMMIT });
    expect(await repository.text("config.json")).toContain("llava");
    expect(await repository.has("config.json")).toBe(true);
    expect(hub.log).toEqual([]);
    expect(await repository.has("model.safetensors")).toBe(true);
    expect(await repository.has("nothing.json")).toBe(false);
    expect(hub.log).toHaveLength(1);
    hub.log = [];
    expect(await (await open({ revision: COMMIT })).has("nothing.json")).toBe(false);
    expect(hub.log).toEqual([]);
    expect(existsSync(model("refs"))).toBe(true);
    expect(readdirSync(model("refs"))).toEqual(["main"]);
  });

  test("a subfolder is the root of its repository", async () => {
    const repository = await open({ subfolder: "sub/folder" });
    expect(await repository.list()).toEqual(["chat template.jinja"]);
    expect(await repository.has("config.json")).toBe(false);
    expect(await repository.text("chat template.jinja")).toBe("{{ messages }}");
  });
});

describe("lists that say less", () => {
  test("without sizes and hashes, the file itself is asked", async () => {
    hub.hooks.push(
      onPath(/^\/api/, (_, r) =>
        json(r, { sha: COMMIT, siblings: [...hub.files.keys()].map((rfilename) => ({ rfilename })) }),
      ),
    );
    const repository = await open();
    expect(await repository.text("config.json")).toContain("llava");
    const weights = await openWeights(repository);
    expect(weights.names()).toEqual(["a"]);
    await weights.close();
    expect(hub.log).toContain(`HEAD /org/model/resolve/${COMMIT}/model.safetensors`);
    expect(hub.log.filter((line) => line.startsWith("HEAD /model"))).toEqual([]);
  });

  test("without files, the tree is asked, page by page", async () => {
    const tree = [...hub.files].map(([path, file]) => {
      const size = file.bytes.length;
      const lfs = file.lfs ? { lfs: { oid: etagOf(file), size } } : {};
      return { type: "file", path, size, oid: file.lfs ? "0".repeat(40) : etagOf(file), ...lfs };
    });
    hub.hooks.push(
      onPath(/\/revision\//, (_, r) => json(r, { sha: COMMIT })),
      onPath(/\/tree\//, (_, r, url) => {
        const page = Number(url.searchParams.get("cursor") ?? 0);
        if (page < tree.length - 1) r.setHeader("link", `<${url.pathname}?cursor=${page + 1}>; rel="next"`);
        json(r, [{ type: "directory", path: "sub" }, tree[page]]);
      }),
    );
    const repository = await open();
    expect(await repository.list()).toEqual([...hub.files.keys()].sort());
    expect(await repository.text("config.json")).toContain("llava");
    await (await repository.open("model.safetensors")).close();
  });

  test("paths that lead out are left out", async () => {
    const size = 2;
    const siblings = [
      "../evil",
      "/evil",
      "a/../../evil",
      "C:evil",
      "a\\b",
      "",
      3,
      "__proto__",
      "good.json",
    ].map((rfilename) => ({ rfilename, size }));
    hub.hooks.push(onPath(/^\/api/, (_, r) => json(r, { sha: COMMIT, siblings: [...siblings, null, "x"] })));
    expect(await (await open()).list()).toEqual(["__proto__", "good.json"]);
  });

  test.each([
    ["a commit that leads out", { sha: "../../../../etc" }],
    ["no commit", { siblings: [] }],
    ["a list", []],
    ["null", null],
  ])("%s is refused", async (_, answer) => {
    hub.hooks.push(onPath(/^\/api/, (_request, r) => json(r, answer)));
    expect((await refused(open())).message).toMatch(/does not name a commit/);
  });

  test("a log-in page instead of JSON is refused in words", async () => {
    hub.hooks.push(onPath(/^\/api/, (_, r) => void r.writeHead(200).end("<html>")));
    expect((await refused(open())).message).toMatch(/not JSON.*log-in page/);
  });

  test("a hash that is none never becomes a file name", async () => {
    const siblings = [{ rfilename: "config.json", size: 2, blobId: "../../evil" }];
    hub.hooks.push(
      onPath(/^\/api/, (_, r) => json(r, { sha: COMMIT, siblings })),
      onPath(
        /config/,
        (_, r) => void r.writeHead(200, { etag: '"../../evil"', "content-length": 2 }).end("{}"),
      ),
    );
    expect((await refused((await open()).text("config.json"))).message).toMatch(/no ETag/);
  });
});

test("a mirror's own ETag names the content, which only its size is checked of", async () => {
  hub.hooks.push(
    onPath(/^\/api/, (_, r) => json(r, { sha: COMMIT, siblings: [{ rfilename: "config.json" }] })),
    onPath(/config/, (_, r) => void r.writeHead(200, { etag: 'W/"v1-abc"', "content-length": 2 }).end("{}")),
  );
  expect(await (await open()).text("config.json")).toBe("{}");
  expect(readdirSync(model("blobs"))).toEqual(["v1-abc"]);
});

describe("what the Hub refuses is told apart", () => {
  test.each<[string, number, string | undefined, string | undefined, string | undefined, RegExp, string]>([
    [
      "a missing model",
      401,
      "RepoNotFound",
      "Invalid username or password.",
      undefined,
      /no such model.*spelling.*no token was given/,
      "name_or_path",
    ],
    [
      "a missing model, with a token",
      404,
      "RepoNotFound",
      "Repository not found",
      "hf_abc",
      /no such model.*the token given does not open it/,
      "name_or_path",
    ],
    ["a missing model without a code", 404, undefined, undefined, undefined, /no such model/, "name_or_path"],
    [
      "a gated model",
      401,
      "GatedRepo",
      "Access to model is restricted",
      undefined,
      /gated, and no token.*Ask for access/,
      "token",
    ],
    [
      "a gated model, with a token",
      403,
      "GatedRepo",
      "not in the authorized list",
      "hf_abc",
      /gated, and the account/,
      "token",
    ],
    [
      "a token that is not valid",
      401,
      undefined,
      "Invalid credentials in Authorization header",
      "hf_abc",
      /does not accept the token/,
      "token",
    ],
    [
      "a missing revision",
      404,
      "RevisionNotFound",
      "Invalid rev id",
      undefined,
      /no revision 'main'/,
      "revision",
    ],
  ])("%s", async (_, status, code, message, token, expected, where) => {
    hub.hooks.push(onPath(/^\/api/, (_request, r) => refuse(r, status, code, message)));
    const error = await refused(open({}, { token }));
    expect(error.message).toMatch(/^org\/model: /);
    expect(error.message).toMatch(expected);
    expect(error.message).not.toContain("hf_abc");
    expect([error.status, error.where]).toEqual([status, where]);
    expect(error.url).toBe(`${hub.endpoint}/api/models/org/model/revision/main`);
    expect(hub.log).toHaveLength(1);
  });

  test("another model of the mock is missing, too", async () => {
    expect((await refused(open({}, {}, "org/other"))).message).toMatch(/^org\/other: no such model/);
    expect((await refused(open({ revision: "v9" }))).message).toMatch(/no revision 'v9'/);
  });

  test("a missing file", async () => {
    const repository = await open();
    for (const attempt of [() => repository.text("none.json"), () => repository.open("none.json")]) {
      const error = await refused(attempt());
      expect(error.message).toMatch(/no file 'none\.json' at revision '0123/);
      expect(error.status).toBe(404);
    }
    expect(await rejection(repository.text("../none.json"))).toBeInstanceOf(CheckpointError);
  });

  test("a gated file of an open list", async () => {
    hub.hooks.push(onPath(/resolve/, (_, r) => refuse(r, 403, "GatedRepo", "restricted")));
    const repository = await open({}, { token: "hf_abc" });
    expect(await repository.has("config.json")).toBe(true);
    expect((await refused(repository.text("config.json"))).message).toMatch(/gated/);
  });

  test("a file too large to be text, before it is fetched", async () => {
    const siblings = [{ rfilename: "config.json", size: 2 ** 31, blobId: "0".repeat(40) }];
    hub.hooks.push(onPath(/^\/api/, (_, r) => json(r, { sha: COMMIT, siblings })));
    const repository = await open();
    expect(await rejection(repository.text("config.json"))).toBeInstanceOf(CheckpointError);
    expect(hub.log).toHaveLength(1);
  });
});

describe("trying again", () => {
  test.each([429, 500, 502, 503, 504, 408])("status %i passes", async (status) => {
    hub.hooks.push(onPath(/./, (_, r) => refuse(r, status), 2));
    expect(await (await open()).text("config.json")).toContain("llava");
  });

  test("and is named when it stays", async () => {
    hub.hooks.push(onPath(/./, (_, r) => refuse(r, 503)));
    const error = await refused(open());
    expect(error.message).toMatch(/trouble.*503/);
    expect(error.status).toBe(503);
    expect(hub.log).toHaveLength(3);
  });

  test.each([
    ["Retry-After in seconds", { "retry-after": "0.1" }, false],
    ["Retry-After", { "retry-after": "0" }, true],
    ["Retry-After as a date in the past", { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }, true],
    ["Retry-After of an hour", { "retry-after": "3600" }, undefined],
    ["the Hub's RateLimit of an hour", { ratelimit: '"api";r=0;t=3600' }, undefined],
    ["a RateLimit that is not used up", { ratelimit: '"api";r=5;t=3600' }, false],
  ])("%s is obeyed", async (_, headers, atOnce) => {
    hub.hooks.push(
      onPath(
        /^\/api/,
        (_request, r) => {
          for (const [name, value] of Object.entries(headers)) r.setHeader(name, value);
          refuse(r, 429);
        },
        1,
      ),
    );
    if (atOnce === undefined) {
      expect((await refused(open())).status).toBe(429);
      expect(hub.log).toHaveLength(1);
    } else expect(await (await open()).has("config.json")).toBe(true);
  });

  test("Retry-After waits as long as it says", async () => {
    hub.hooks.push(
      onPath(
        /^\/api/,
        (_, r) => {
          r.setHeader("retry-after", "1");
          refuse(r, 429);
        },
        1,
      ),
    );
    const began = performance.now();
    await open({}, { patience: { longestRetryAfter: 2000 } });
    expect(performance.now() - began).toBeGreaterThan(990);
  });

  test("a host that is not there is named", async () => {
    const gone = await MockHub.start();
    const settings = gone.settings(cache);
    await gone.stop();
    const error = await refused(HubRepository.open("org/model", {}, settings));
    expect(error.message).toMatch(/127\.0\.0\.1:\d+ cannot be reached.*ECONNREFUSED/);
    expect(error.where).toBe("network");
  });
});

describe("redirects", () => {
  test("the token stays with the Hub, and the storage's signature stays out of messages", async () => {
    const bytes = hub.files.get("model.safetensors")!.bytes;
    await (await (await open({}, { token: "hf_abc" })).open("model.safetensors")).close();
    expect([...hub.tokens.hub]).toEqual(["Bearer hf_abc"]);
    expect([...hub.tokens.storage]).toEqual([]);
    expect(readFileSync(model("snapshots", COMMIT, "model.safetensors")).equals(bytes)).toBe(true);

    rmSync(cache, { recursive: true });
    hub.hooks.push(onPath(/^\/model/, (_, r) => refuse(r, 403)));
    const error = await refused((await open({}, { token: "hf_abc" })).open("model.safetensors"));
    expect(JSON.stringify([error.message, error.url, String(error.cause)])).not.toMatch(/secret|hf_abc/);
  });

  test("a signature that ran out is renewed", async () => {
    hub.hooks.push(onPath(/^\/model/, (_, r) => refuse(r, 403), 2));
    await (await (await open()).open("model.safetensors")).close();
  });

  test("a model that moved keeps the token", async () => {
    hub.hooks.push(
      onPath(
        /^\/api\/models\/org\/old\//,
        (_, r, url) => void r.writeHead(307, { location: url.pathname.replace("old", "model") }).end(),
      ),
      onPath(
        /^\/org\/old\//,
        (_, r, url) => void r.writeHead(307, { location: url.pathname.replace("old", "model") }).end(),
      ),
    );
    const repository = await open({}, { token: "hf_abc" }, "org/old");
    expect(await repository.text("config.json")).toContain("llava");
    expect(existsSync(join(cache, "models--org--old"))).toBe(true);
  });

  test.each(["file:///etc/passwd", "ftp://x/y", "http://", "data:text/plain,x"])(
    "to %s is refused",
    async (location) => {
      hub.hooks.push(onPath(/^\/api/, (_, r) => void r.writeHead(302, { location }).end()));
      expect((await refused(open())).message).toMatch(/not allowed/);
    },
  );

  test("without end are refused", async () => {
    hub.hooks.push(onPath(/^\/api/, (_, r, url) => void r.writeHead(302, { location: url.pathname }).end()));
    expect((await refused(open())).message).toMatch(/more than 5 times/);
  });
});

describe("offline", () => {
  const offline: Partial<HubSettings> = { offline: "HF_HUB_OFFLINE is set" };

  test("what is in the cache is used, and nothing asked for", async () => {
    await (await open()).text("config.json");
    hub.log = [];
    const repository = await open({}, offline);
    expect(await repository.text("config.json")).toContain("llava");
    expect(await repository.list()).toEqual(["config.json"]);
    expect(await repository.has("model.safetensors")).toBe(false);
    await repository.prepare(["model.safetensors"]);
    const error = await refused(repository.open("model.safetensors"));
    expect(error.message).toMatch(/'model\.safetensors' is not in the cache.*HF_HUB_OFFLINE is set/);
    expect((await rejection(openWeights(repository))).message).toMatch(/HF_HUB_OFFLINE is set/);
    expect(await (await open({ subfolder: "nowhere" }, offline)).list()).toEqual([]);
    expect(hub.log).toEqual([]);
  });

  test("what is not there is said in words", async () => {
    await (await open()).text("config.json");
    for (const [options, id] of [
      [{}, "org/other"],
      [{ revision: "v2" }, "org/model"],
      [{ revision: OLD_COMMIT }, "org/model"],
    ] as const) {
      const error = await refused(open(options, offline, id));
      expect(error.message).toMatch(/not in the cache.*HF_HUB_OFFLINE is set/);
    }
  });

  const break_ = () => onPath(/./, (_, r) => r.destroy());
  test.each<[string, () => ReturnType<typeof onPath>]>([
    ["cannot be reached", break_],
    ["has trouble", () => onPath(/./, (_, r) => refuse(r, 500))],
    ["does not know the model any more", () => onPath(/./, (_, r) => refuse(r, 401, "RepoNotFound"))],
  ])("when the Hub %s, the cache is used, with one warning and no second try", async (_, hook) => {
    await (await open()).text("config.json");
    hub.hooks.push(hook());
    hub.log = [];
    const repository = await open();
    expect(await repository.text("config.json")).toContain("llava");
    expect(await repository.has("model.safetensors")).toBe(false);
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(/The copy in the cache is used: commit 0123/);
    expect(hub.log).toHaveLength(1);
  });

  test("but not where the revision is gone, or force_download is asked for", async () => {
    await (await open()).text("config.json");
    hub.hooks.push(onPath(/^\/api/, (_, r) => refuse(r, 404, "RevisionNotFound"), 1));
    await refused(open());
    hub.hooks.push(break_());
    await refused(open({ force_download: true }));
  });

  test("a commit's snapshot is enough when the Hub cannot be reached", async () => {
    hub.refs.set("main", OLD_COMMIT);
    await (await open()).text("config.json");
    hub.hooks.push(break_());
    const repository = await open({ revision: OLD_COMMIT });
    expect(await repository.has("generation_config.json")).toBe(false);
    expect(await repository.text("config.json")).toContain("llava");
    expect(said).toHaveLength(1);
    expect((await refused((await open({ revision: COMMIT })).has("config.json"))).where).toBe("network");
  });
});

describe("the disk", () => {
  test("too full for all files is said before the first is fetched", async () => {
    const siblings = [
      { rfilename: "a.safetensors", size: 2 ** 52, lfs: { sha256: "0".repeat(64), size: 2 ** 52 } },
      { rfilename: "config.json", size: 5, blobId: "0".repeat(40) },
    ];
    hub.hooks.push(onPath(/^\/api/, (_, r) => json(r, { sha: COMMIT, siblings })));
    const repository = await open();
    for (const attempt of [
      () => repository.prepare(["config.json", "a.safetensors"]),
      () => repository.open("a.safetensors"),
    ]) {
      const error = await refused(attempt());
      expect(error.message).toMatch(
        /4503599\.63 GB \(45035996273\d+ bytes\) must be downloaded, but only .* bytes\) are free in/,
      );
      expect(error.got).toBeLessThan(2 ** 52);
    }
    expect(hub.log).toHaveLength(1);
  });

  test.skipIf(process.getuid?.() === 0)("that cannot be written to is said in words", async () => {
    chmodSync(cache, 0o500);
    const error = await refused((await open()).text("config.json"));
    expect(error.message).toMatch(/cannot be written to/);
    chmodSync(cache, 0o700);
  });

  test("a cache folder that is a file is said in words", async () => {
    writeFileSync(join(cache, "file"), "");
    cache = join(cache, "file");
    const error = await rejection((await open()).text("config.json"));
    expect(error.message).toMatch(/cannot be written to|not a directory/);
  });
});

test("an aborted look-up rejects with the reason", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  hub.hooks.push(onPath(/^\/api/, () => controller.abort(reason)));
  expect(await rejection(open({ signal: controller.signal }))).toBe(reason);
});

test("a request compressed all the same is read", async () => {
  const { gzipSync } = await import("node:zlib");
  const bytes = noise(3000);
  hub.add("vocab.json", bytes);
  hub.hooks.push(
    onPath(/vocab/, (request, response) => {
      expect(request.headers["accept-encoding"]).toBe("identity");
      response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(bytes));
    }),
  );
  const access = await (await open()).open("vocab.json");
  expect(Buffer.from(await access.read(0, 3000)).equals(bytes)).toBe(true);
  await access.close();
});
