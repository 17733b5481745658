import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HubError, OptionError } from "../../src/base/errors.ts";
import { HubRepository } from "../../src/hub/hub_repository_node.ts";
import type { HubOptions } from "../../src/hub/repository.ts";
import { type Environment, readSettings } from "../../src/hub/settings_node.ts";
import { MockHub } from "./mock_hub.ts";
import { folder, rejection } from "./support.ts";

const home = homedir();
/** No token of whoever runs the tests. */
const bare = { HF_TOKEN_PATH: "/no/such/token" };

// As huggingface_hub 2.4's constants.py puts them together.
test.each<[Environment, string | undefined, string]>([
  [{}, undefined, join(home, ".cache/huggingface/hub")],
  [{ XDG_CACHE_HOME: "/xdg" }, undefined, "/xdg/huggingface/hub"],
  [{ XDG_CACHE_HOME: "/xdg", HF_HOME: "/hf" }, undefined, "/hf/hub"],
  [{ HF_HOME: "~/hf" }, undefined, join(home, "hf/hub")],
  [{ HF_HOME: "$BASE/hf", BASE: "/base" }, undefined, "/base/hf/hub"],
  [{ HF_HOME: "/hf", HUGGINGFACE_HUB_CACHE: "/old" }, undefined, "/old"],
  [{ HF_HOME: "/hf", HUGGINGFACE_HUB_CACHE: "/old", HF_HUB_CACHE: "/new" }, undefined, "/new"],
  [{ HF_HUB_CACHE: "/new" }, "/mine", "/mine"],
  [{ HF_HUB_CACHE: "/new" }, "~/mine", join(home, "mine")],
])("the cache of %j with %j is %s", async (environment, cache_dir, expected) => {
  const settings = await readSettings({ cache_dir }, { ...bare, ...environment });
  expect(settings.cacheDir).toBe(expected);
});

test.each<[Environment, HubOptions, boolean]>([
  [{}, {}, false],
  [{ HF_HUB_OFFLINE: "0" }, {}, false],
  [{ HF_HUB_OFFLINE: "" }, {}, false],
  [{ HF_HUB_OFFLINE: "1" }, {}, true],
  [{ HF_HUB_OFFLINE: "True" }, {}, true],
  [{ TRANSFORMERS_OFFLINE: "yes" }, {}, true],
  [{}, { local_files_only: true }, true],
])("%j with %j is offline: %s", async (environment, options, offline) => {
  expect((await readSettings(options, { ...bare, ...environment })).offline !== undefined).toBe(offline);
});

test("HF_ENDPOINT, without its slash", async () => {
  expect((await readSettings({}, bare)).client.endpoint).toBe("https://huggingface.co");
  const settings = await readSettings({}, { ...bare, HF_ENDPOINT: "http://mirror.example/hf/" });
  expect(settings.client.endpoint).toBe("http://mirror.example/hf");
});

test.each(["mirror.example", "file:///x", "https://user:secret@x", "https://x?y=1", "nonsense"])(
  "HF_ENDPOINT %s is refused",
  async (HF_ENDPOINT) => {
    const error = await rejection(readSettings({}, { ...bare, HF_ENDPOINT }));
    expect(error).toBeInstanceOf(OptionError);
    expect(error.message).toContain("HF_ENDPOINT");
    expect(error.message).not.toContain("secret");
  },
);

describe("the token", () => {
  const hf = folder({ token: "hf_file\n", other: " hf_other \r\n" });
  let hub: MockHub;
  beforeAll(async () => {
    hub = await MockHub.start();
    hub.add("config.json", "{}");
  });
  afterAll(() => hub.stop());

  test.each<[Environment, HubOptions["token"], string | undefined]>([
    [{ HF_HOME: hf }, undefined, "hf_file"],
    [{ HF_HOME: hf }, null, "hf_file"],
    [{ HF_HOME: hf }, true, "hf_file"],
    [{ HF_HOME: hf }, false, undefined],
    [{ HF_HOME: hf }, "hf_option", "hf_option"],
    [{ HF_HOME: hf, HF_TOKEN: "hf_env" }, undefined, "hf_env"],
    [{ HF_HOME: hf, HF_TOKEN: "", HUGGING_FACE_HUB_TOKEN: "hf_old" }, undefined, "hf_old"],
    [{ HF_HOME: hf, HF_TOKEN_PATH: join(hf, "other") }, undefined, "hf_other"],
    [{ HF_HOME: hf, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" }, undefined, undefined],
    [{ HF_HOME: hf, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" }, true, "hf_file"],
    [{ HF_HOME: "/no/such" }, undefined, undefined],
  ])("of %j with %j is %s", async (environment, token, expected) => {
    hub.tokens.hub.clear();
    const all = { HTTP_PROXY: "", HF_ENDPOINT: hub.endpoint, ...environment };
    const settings = await readSettings({ token, cache_dir: folder() }, all);
    await HubRepository.open("org/model", {}, settings);
    expect([...hub.tokens.hub]).toEqual(expected === undefined ? [] : [`Bearer ${expected}`]);
  });

  test("that is asked for and not there", async () => {
    const error = await rejection(readSettings({ token: true }, bare));
    expect(error).toBeInstanceOf(HubError);
    expect(error.message).toMatch(/set HF_TOKEN, or put it into \/no\/such\/token/);
  });

  test.each(["hf_ab\u00fc", "hf_ab hf_cd", "hf_\u0000ab"])("%j is refused, and not shown", async (token) => {
    for (const attempt of [readSettings({ token }, bare), readSettings({}, { ...bare, HF_TOKEN: token })]) {
      const error = await rejection(attempt);
      expect(error).toBeInstanceOf(OptionError);
      expect(error.message).not.toContain("hf_");
    }
  });
});

describe("proxies", () => {
  let hub: MockHub;
  let proxy: Server;
  let through: string[];
  beforeAll(async () => {
    hub = await MockHub.start();
    hub.add("config.json", '{"a": 1}');
    proxy = createServer((request, response) => {
      through.push(`${request.method} ${request.url}`);
      response.writeHead(502).end();
    });
    // What is asked for by CONNECT goes through a tunnel.
    proxy.on("connect", (request, socket, head) => {
      through.push(`CONNECT ${request.url}`);
      const [host, port] = request.url!.split(":");
      const target = connect(Number(port), host, () => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n");
        target.write(head);
        target.pipe(socket).pipe(target);
      });
      target.on("error", () => socket.destroy());
      socket.on("error", () => target.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  });
  afterAll(async () => {
    await hub.stop();
    proxy.closeAllConnections();
    proxy.close();
  });

  const fetchConfig = async (environment: Environment): Promise<unknown> => {
    through = [];
    const all = { ...bare, HF_ENDPOINT: hub.endpoint, ...environment };
    const settings = await readSettings({ cache_dir: folder() }, all);
    return (await HubRepository.open("org/model", {}, settings)).json("config.json");
  };
  const address = (): string => `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;

  test("are gone through", async () => {
    expect(await fetchConfig({ HTTP_PROXY: address() })).toEqual({ a: 1 });
    expect(through).toContain(`CONNECT ${new URL(hub.endpoint).host}`);
    expect(await fetchConfig({ http_proxy: address(), HTTP_PROXY: "http://127.0.0.1:1" })).toEqual({ a: 1 });
    expect(through.length).toBeGreaterThan(0);
  });

  test("are not where NO_PROXY says so, or the proxy is for HTTPS", async () => {
    expect(await fetchConfig({ HTTP_PROXY: address(), NO_PROXY: "127.0.0.1" })).toEqual({ a: 1 });
    expect(await fetchConfig({ HTTPS_PROXY: address() })).toEqual({ a: 1 });
    expect(through).toEqual([]);
  });
});
