import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createApp } from "../../server/app.ts";
import { isLoopback } from "../../server/guards.ts";
import { isPublic, RemotePictures } from "../../server/remote_pictures.ts";
import { demoService } from "./support.ts";

const { service } = demoService();

describe("--api-key", () => {
  const app = createApp(service, { apiKey: "right key" });
  const status = async (path: string, authorization?: string): Promise<number> => {
    const headers: Record<string, string> =
      authorization === undefined ? {} : { Authorization: authorization };
    return (await app.request(`http://127.0.0.1${path}`, { headers })).status;
  };

  test("is asked for where something is told or computed", async () => {
    for (const path of ["/v1/models", "/v1/models/llava-demo", "/metrics", "/v1/nothing"]) {
      for (const wrong of [
        undefined,
        "",
        "Bearer",
        "Bearer wrong",
        "Bearer right key2",
        "right key",
        "Basic right key",
      ]) {
        expect(await status(path, wrong)).toBe(401);
      }
    }
    expect(await status("/v1/models", "Bearer right key")).toBe(200);
    expect(await status("/metrics", "bearer right key")).toBe(200);
  });

  test("comes before the body is read", async () => {
    const response = await app.request("http://127.0.0.1/v1/chat/completions", { method: "POST", body: "{" });
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toBe("Bearer");
    expect(await response.json()).toMatchObject({ error: { code: "invalid_api_key" } });
  });

  test("is not needed to see whether the server is there", async () => {
    expect(await status("/health")).toBe(503);
    expect(await status("/page.json")).toBe(200);
  });
});

describe("other origins", () => {
  test("CORS is off, and on for those that were named", async () => {
    const ask = (app: ReturnType<typeof createApp>, origin: string): Promise<Response> =>
      Promise.resolve(
        app.request("http://127.0.0.1/v1/chat/completions", {
          method: "OPTIONS",
          headers: { Origin: origin, "Access-Control-Request-Method": "POST" },
        }),
      );
    const header = "access-control-allow-origin";
    expect((await ask(createApp(service), "https://a.example")).headers.get(header)).toBeNull();
    const open = createApp(service, { corsOrigins: ["https://a.example"], apiKey: "k" });
    expect((await ask(open, "https://a.example")).headers.get(header)).toBe("https://a.example");
    expect((await ask(open, "https://b.example")).headers.get(header)).toBeNull();
  });

  test("a server for this machine does not answer to other names", async () => {
    const app = createApp(service, { loopbackOnly: true });
    const status = async (host: string): Promise<number> =>
      (await app.request("http://x/v1/models", { headers: { Host: host } })).status;
    for (const host of ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000"]) {
      expect(await status(host)).toBe(200);
    }
    for (const host of [
      "evil.example",
      "127.0.0.1.evil.example",
      "localhost.evil.example:8000",
      "10.0.0.1",
    ]) {
      expect(await status(host)).toBe(403);
    }
  });

  test("which hosts are this machine", () => {
    expect(["127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "192.168.1.2"].map(isLoopback)).toEqual([
      ...[true, true, true],
      ...[false, false, false],
    ]);
  });
});

describe("addresses that may be connected to", () => {
  test.each([
    ...["127.0.0.1", "127.255.0.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1"],
    ...["169.254.169.254", "100.64.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1"],
    ...["::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "fe80::1", "fc00::1", "fd12::1", "ff02::1"],
    ...["64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "2001::1"],
  ])("not %s", (address) => {
    expect(isPublic({ address, family: address.includes(":") ? 6 : 4 })).toBe(false);
  });

  test.each(["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"])("%s", (address) => {
    expect(isPublic({ address, family: address.includes(":") ? 6 : 4 })).toBe(true);
  });
});

describe("--allow-image-host", () => {
  const PARAM = "messages[0].content[0].image_url";
  const bytes = Buffer.from("a picture");
  let server: Server;
  let port: number;
  const asked: string[] = [];

  beforeAll(async () => {
    server = createServer((request, response) => {
      asked.push(`${request.headers.host} ${request.url}`);
      const to = new URL(request.url ?? "/", "http://x").searchParams.get("to");
      if (to) response.writeHead(302, { Location: to }).end();
      else if (request.url === "/large") response.end(Buffer.alloc(5000));
      else if (request.url === "/missing") response.writeHead(404).end();
      else response.end(bytes);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterAll(() => void server.close());

  const here = async () => [{ address: "127.0.0.1", family: 4 }];
  const read = (pictures: RemotePictures, url: string): Promise<Uint8Array> =>
    pictures.read(url, PARAM, 1000, AbortSignal.timeout(5000));
  /** Pictures of a host that no name server knows, on this machine. */
  const trusting = (): RemotePictures => new RemotePictures([`pictures.test:${port}`], here, () => true);

  test("connects to the address that was checked: the name is not looked up again", async () => {
    const got = await read(trusting(), `http://pictures.test:${port}/cat`);
    expect(Buffer.from(got)).toEqual(bytes);
    expect(asked.at(-1)).toBe(`pictures.test:${port} /cat`);
  });

  test("follows to the same host, and to no other", async () => {
    const base = `http://pictures.test:${port}`;
    expect(Buffer.from(await read(trusting(), `${base}/a?to=/b`))).toEqual(bytes);
    const before = asked.length;
    for (const to of [
      `http://other.test:${port}/`,
      `http://127.0.0.1:${port}/`,
      "file:///etc/passwd",
      "http://pictures.test/",
    ]) {
      await expect(read(trusting(), `${base}/?to=${encodeURIComponent(to)}`)).rejects.toMatchObject({
        status: 400,
      });
    }
    expect(asked.length).toBe(before + 4);
    await expect(read(trusting(), `${base}/?to=${encodeURIComponent("/?to=/")}`)).resolves.toBeDefined();
  });

  test("a name that means a private address is refused, and nothing is connected to", async () => {
    const before = asked.length;
    const pictures = new RemotePictures(
      [`pictures.test:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`],
      here,
    );
    for (const host of ["pictures.test", "127.0.0.1", "[::1]", "2130706433", "0x7f.1"]) {
      await expect(read(pictures, `http://${host}:${port}/`)).rejects.toMatchObject({
        ...{ status: 400, code: "image_url_not_allowed", param: PARAM },
      });
    }
    expect(asked.length).toBe(before);
  });

  test("who does not wait any longer is not kept waiting: by the name, nor by the host", async () => {
    const never = new Promise<never>(() => {});
    const silent = createServer(() => asked.push("silent"));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const there = `silent.test:${(silent.address() as AddressInfo).port}`;
    for (const [pictures, url] of [
      [new RemotePictures(["slow.test"], () => never), "http://slow.test/"],
      [new RemotePictures([there], here, () => true), `http://${there}/`],
    ] as const) {
      const controller = new AbortController();
      const answer = pictures.read(url, PARAM, 1000, controller.signal);
      if (url.includes("silent")) await vi.waitFor(() => expect(asked.at(-1)).toBe("silent"));
      const gone = new Error("gone");
      controller.abort(gone);
      await expect(answer).rejects.toBe(gone);
    }
    silent.closeAllConnections();
    silent.close();
  });

  test("one private address among public ones is enough", async () => {
    const mixed = async () => [{ address: "8.8.8.8", family: 4 }, ...(await here())];
    const pictures = new RemotePictures(["pictures.test"], mixed);
    await expect(read(pictures, "http://pictures.test/")).rejects.toMatchObject({
      code: "image_url_not_allowed",
    });
  });

  test.each([
    "ftp://pictures.test/",
    "http://user:secret@pictures.test/",
    "http://pictures.test.evil.example/",
    "http://evil.example/?pictures.test",
    "http://evil.example#pictures.test",
    "http://pictures.test:22/",
    "//pictures.test/",
    "javascript:alert(1)",
  ])("refuses %s", async (url) => {
    const pictures = new RemotePictures(["pictures.test"], here, () => true);
    await expect(read(pictures, url)).rejects.toMatchObject({ status: 400, param: PARAM });
  });

  test("what fails does not say why: nobody learns what answers where", async () => {
    const base = `http://pictures.test:${port}`;
    const closed = new RemotePictures(["pictures.test:1"], here, () => true);
    const unknown = new RemotePictures(
      ["pictures.test"],
      () => Promise.reject(new Error("ENOTFOUND")),
      () => true,
    );
    const messages = await Promise.all(
      [
        read(trusting(), `${base}/large`),
        read(trusting(), `${base}/missing`),
        read(closed, "http://pictures.test:1/"),
        read(unknown, "http://pictures.test/"),
      ].map((promise) => promise.then(String, (error: Error) => error.message)),
    );
    expect(new Set(messages)).toEqual(new Set([`${PARAM}: the picture could not be fetched`]));
  });
});
