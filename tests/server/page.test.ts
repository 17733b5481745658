import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createApp } from "../../server/app.ts";
import { type Listening, listen } from "../../server/listen.ts";
import { demoService, firstTurn, PAGE } from "./support.ts";

/** A browser that is there; CHROMIUM names another. */
const CHROMIUM = [
  process.env.CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
].find((path) => path !== undefined && existsSync(path));

const picture = (file: string): string =>
  fileURLToPath(new URL(`../../checkpoints/llava-demo/pictures/${file}`, import.meta.url));

const { service } = demoService();
let server: Listening;
let browser: Browser;
let page: Page;
const troubles: string[] = [];

describe.skipIf(CHROMIUM === undefined)("the chat page (skipped where there is no Chromium)", () => {
  beforeAll(async () => {
    const app = createApp(service, { page: PAGE, loopbackOnly: true });
    server = await listen(service, app.fetch, { host: "127.0.0.1", port: 0 });
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
    page = await browser.newPage({ viewport: { width: 390, height: 844 } });
    page.on("console", (message) => message.type() === "error" && troubles.push(message.text()));
    page.on("pageerror", (error) => troubles.push(error.message));
    page.on("request", (request) => {
      if (!request.url().startsWith(server.url) && !request.url().startsWith("data:"))
        troubles.push(request.url());
    });
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close(100);
    await service.pool.dispose();
  });

  const text = (id: string): Promise<string | null> => page.getByTestId(id).textContent();
  const becomes = (state: string): Promise<unknown> =>
    page.waitForFunction(
      (wanted) => document.querySelector("[data-testid=status]")?.textContent === wanted,
      state,
    );
  const figure = async (name: string): Promise<number> => {
    const figures = await (await fetch(`${server.url}/metrics`)).text();
    return Number(new RegExp(`^${name} (\\d+)`, "m").exec(figures)?.[1]);
  };

  test("waits for the model, then says what computes", async () => {
    await page.goto(server.url);
    expect(await text("status")).toBe("loading");
    expect(await page.getByTestId("ask").isDisabled()).toBe(true);
    await service.warmUp();
    await becomes("ready");
    expect(await text("device")).toContain(service.pool.residents[0].model.device);
    expect(await page.getByTestId("ask").isEnabled()).toBe(true);
    expect(await page.getByTestId("stop").isDisabled()).toBe(true);
  });

  test("a picture and a question, by keyboard alone, give the answer", async () => {
    const { question, answer } = firstTurn("snow.jpg");
    await page.getByTestId("image-input").setInputFiles(picture("snow.jpg"));
    await page.getByAltText("Picture 1").waitFor();
    await page.getByTestId("prompt-input").pressSequentially(question);
    await page.keyboard.press("Enter");
    await page.getByText("tokens/s").waitFor();
    await becomes("ready");
    expect(await text("answer")).toBe(answer);
    expect(await page.getByTestId("prompt-input").inputValue()).toBe("");
  });

  test("asked again, the picture is not looked at again", async () => {
    const misses = await figure("llava_picture_cache_misses_total");
    await page.getByRole("button", { name: "Ask again" }).click();
    await page.getByText("tokens/s").waitFor();
    await becomes("ready");
    expect(await text("answer")).toBe(firstTurn("snow.jpg").answer);
    expect(await figure("llava_picture_cache_misses_total")).toBe(misses);
    expect(await figure("llava_picture_cache_hits_total")).toBeGreaterThan(0);
  });

  test("a picture can be taken back, and dropped on the page", async () => {
    await page.getByTestId("image-input").setInputFiles([picture("garden.jpg"), picture("night.jpg")]);
    await page.getByRole("button", { name: "Remove picture 2" }).click();
    expect(await page.locator("#pictures li").count()).toBe(1);
    await page.getByRole("button", { name: "Remove picture 1" }).click();
    const transfer = await page.evaluateHandle(async () => {
      const canvas = new OffscreenCanvas(8, 6);
      canvas.getContext("2d")?.fillRect(0, 0, 8, 6);
      const data = new DataTransfer();
      data.items.add(new File([await canvas.convertToBlob()], "drawn.png", { type: "image/png" }));
      return data;
    });
    await page.dispatchEvent("body", "drop", { dataTransfer: transfer });
    await page.getByAltText("Picture 1", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Remove picture 1" }).click();
  });

  test("stops when told to, and frees its place", async () => {
    await page.route("**/v1/chat/completions", async (route) => {
      // An answer that does not end by itself.
      const body = { ...route.request().postDataJSON(), max_tokens: 1500, logit_bias: { 2: -100 } };
      await route.continue({ postData: JSON.stringify(body) });
    });
    await page.getByTestId("prompt-input").fill("What else?");
    await page.getByTestId("ask").click();
    await becomes("busy");
    expect(await page.getByTestId("ask").isDisabled()).toBe(true);
    await page.waitForFunction(() => document.querySelector("[data-testid=answer]")?.textContent);
    expect(service.admission.running).toBe(1);
    await page.getByTestId("stop").click();
    await becomes("ready");
    await expect.poll(() => service.admission.running).toBe(0);
    expect(await text("answer")).not.toBe("");
    await page.getByText("stopped").waitFor();
    await page.unroute("**/v1/chat/completions");
  });

  test("fits from 390 px on, in both colour schemes, with names for all that can be used", async () => {
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      for (const width of [390, 768, 1280]) {
        await page.setViewportSize({ width, height: 800 });
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
        expect(await page.getByTestId("ask").isVisible()).toBe(true);
      }
      const [ground, ink] = await page.evaluate(() => {
        const { backgroundColor, color } = getComputedStyle(document.body);
        return [backgroundColor, color].map((text) => Number(/\d+/.exec(text)?.[0]));
      });
      expect(Math.abs(ground - ink)).toBeGreaterThan(180);
    }
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll<HTMLElement>("button, select, textarea, input, img")]
        .filter((element) => element.checkVisibility())
        .filter((element) => {
          const labels =
            "labels" in element ? [...((element.labels as NodeListOf<HTMLElement> | null) ?? [])] : [];
          const given = element.getAttribute("aria-label") ?? element.getAttribute("alt");
          return given === null && !element.textContent && labels.every(({ textContent }) => !textContent);
        })
        .map(({ id, tagName }) => `${tagName}#${id}`),
    );
    expect(nameless).toEqual([]);
  });

  test("a key that the server asks for can be given", async () => {
    const app = createApp(service, { page: PAGE, apiKey: "secret" });
    const guarded = await listen(service, app.fetch, { host: "127.0.0.1", port: 0 });
    const other = await browser.newPage();
    await other.goto(guarded.url);
    const status = other.getByTestId("status");
    await other.waitForFunction(
      () => document.querySelector("[data-testid=status]")?.textContent === "ready",
    );
    await other.getByTestId("prompt-input").fill("Hello");
    await other.getByTestId("ask").click();
    await other.getByLabel("Key of this server").fill("secret");
    expect(await status.textContent()).toBe("error");
    await other.getByRole("button", { name: "Ask again" }).click();
    await other.getByText("tokens/s").waitFor();
    expect(await other.getByTestId("answer").textContent()).not.toBe("");
    await other.close();
  });

  test("the console stays free of errors, and nothing is asked of other servers", () => {
    expect(troubles).toEqual([]);
  });
});

test("the page's files come with rules for the browser, and no others", async () => {
  const app = createApp(service, { page: PAGE });
  const response = await app.request("http://x/");
  expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(await response.text()).toContain('data-testid="prompt-input"');
  expect((await app.request("http://x/page.js")).headers.get("content-type")).toContain("javascript");
  for (const path of ["/page.d.ts", "/page.ts", "/index.html", "/page/page.js"]) {
    expect((await app.request(`http://x${path}`)).status).toBe(404);
  }
});
