import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { openSite, type Site, skipped } from "./site.ts";

const PICTURES = new URL("../../checkpoints/llava-demo/pictures/", import.meta.url);
const GARDEN = fileURLToPath(new URL("garden.jpg", PICTURES));

interface Turn {
  question: string;
  answer: string;
}

const recorded = JSON.parse(await readFile(new URL("pictures.json", PICTURES), "utf8")) as {
  pictures: { file: string; conversations: Turn[][] }[];
};

/** What Transformers answered to a question about a picture. */
function expectedAnswer(file: string, question: string): string {
  const { conversations } = recorded.pictures.find((picture) => picture.file === file)!;
  return conversations.find(([turn]) => turn.question === question)![0].answer;
}

const DESCRIBE = "Describe this picture.";
const ELEPHANT = "Is there an elephant in the picture?";

if (skipped) console.warn(`The page is not tested: ${skipped}`);

describe.skipIf(skipped)("the demo, in Chromium", () => {
  let site: Site;
  let page: Page;
  /** What the console said was wrong. */
  let faults: string[];
  beforeAll(async () => {
    site = await openSite();
  }, 60_000);
  afterAll(() => site.close());
  afterEach(async () => {
    await page.close();
    expect(faults).toEqual([]);
  });

  async function open(query: string, isolated = true): Promise<void> {
    faults = [];
    page = await site.browser.newPage({ viewport: { width: 390, height: 844 } });
    page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
    page.on("pageerror", (error) => faults.push(String(error)));
    if (!isolated) {
      await page.route(site.address + query, async (route) => {
        const response = await route.fetch();
        const headers = response.headers();
        delete headers["cross-origin-opener-policy"];
        delete headers["cross-origin-embedder-policy"];
        await route.fulfill({ response, headers });
      });
    }
    await page.goto(site.address + query);
  }

  const text = async (id: string): Promise<string> => (await page.getByTestId(id).textContent()) ?? "";

  /** What is computed may take long on a busy machine. */
  const patient = { timeout: 20_000, interval: 20 };

  async function until(status: string): Promise<void> {
    await expect.poll(() => text("status"), patient).toBe(status);
  }

  async function ask(question: string): Promise<string> {
    await page.getByTestId("prompt-input").fill(question);
    await page.getByTestId("ask").click();
    await until("ready");
    return text("answer");
  }

  test("the library is bundled for browsers with nothing that only Node has", async () => {
    await open("?dtype=none");
    expect(site.modules.length).toBeGreaterThan(100);
    // Vite puts an empty module in place of each that a browser does not have.
    expect(
      site.modules.filter((id) => /browser-external|_node\.js$|\/(sharp|koffi|undici)\//.test(id)),
    ).toEqual([]);
    await until("error");
  });

  test("answers as Transformers does, word by word, again and again, on several threads", async () => {
    await open("");
    expect(await page.getByTestId("ask").isDisabled()).toBe(true);
    await until("ready");
    expect(await page.evaluate(() => globalThis.crossOriginIsolated)).toBe(true);
    expect(await text("device")).toMatch(/^wasm: WebAssembly with (relaxed|fixed) SIMD.* on \d+ thread/);
    await page.getByTestId("image-input").setInputFiles(GARDEN);
    await page.evaluate(() => {
      const answer = document.querySelector("[data-testid=answer]")!;
      const seen: string[] = [];
      new MutationObserver(() => seen.push(answer.textContent ?? "")).observe(answer, { childList: true });
      Object.assign(globalThis, { seen });
    });
    expect(await ask(DESCRIBE)).toBe(expectedAnswer("garden.jpg", DESCRIBE));
    const seen = await page.evaluate(() => (globalThis as unknown as { seen: string[] }).seen);
    expect(new Set(seen).size).toBeGreaterThan(20);
    expect(await ask(ELEPHANT)).toBe(expectedAnswer("garden.jpg", ELEPHANT));
    await page.getByTestId("image-input").setInputFiles(fileURLToPath(new URL("shapes.png", PICTURES)));
    expect(await text("answer")).toBe("");
    expect(await ask(DESCRIBE)).toBe(expectedAnswer("shapes.png", DESCRIBE));
  });

  test("stops when it is told to, keeps what was said, and answers again", async () => {
    await open("?device=wasm");
    await until("ready");
    await page.getByTestId("image-input").setInputFiles(GARDEN);
    const whole = expectedAnswer("garden.jpg", DESCRIBE);
    // Presses the button as soon as there are words.
    await page.evaluate(() => {
      const answer = document.querySelector("[data-testid=answer]")!;
      const stop = document.querySelector<HTMLButtonElement>("[data-testid=stop]")!;
      new MutationObserver((_, observer) => {
        if ((answer.textContent ?? "").length < 20) return;
        observer.disconnect();
        stop.click();
      }).observe(answer, { childList: true });
    });
    const part = await ask(DESCRIBE);
    expect(part.length).toBeGreaterThanOrEqual(20);
    expect(part.length).toBeLessThan(whole.length);
    expect(whole.startsWith(part)).toBe(true);
    expect(await ask(DESCRIBE)).toBe(whole);
  });

  test("without isolation it computes in turns with the page, which stays alive", async () => {
    await open("?device=wasm&dtype=float32", false);
    await until("ready");
    expect(await page.evaluate(() => globalThis.crossOriginIsolated)).toBe(false);
    expect(await text("device")).toMatch(/^wasm: .*not cross-origin isolated/);
    await page.getByTestId("image-input").setInputFiles(GARDEN);
    await page.evaluate(() => {
      const gaps: number[] = [];
      let last = performance.now();
      setInterval(() => {
        gaps.push(performance.now() - last);
        last = performance.now();
      }, 1);
      Object.assign(globalThis, { gaps });
    });
    expect(await ask(DESCRIBE)).toBe(expectedAnswer("garden.jpg", DESCRIBE));
    const gaps = await page.evaluate(() => (globalThis as unknown as { gaps: number[] }).gaps);
    expect(gaps.length).toBeGreaterThan(20);
    // One that does not give turns is one gap as long as all of it.
    const all = gaps.reduce((sum, gap) => sum + gap, 0);
    expect(Math.max(...gaps)).toBeLessThan(all / 2);
  });

  test("on a page that forbids workers the library computes without them", async () => {
    faults = [];
    page = await site.browser.newPage();
    await page.route(site.address, async (route) => {
      const response = await route.fetch();
      const headers = { ...response.headers(), "content-security-policy": "worker-src 'none'" };
      await route.fulfill({ headers, body: "<!doctype html><link rel=icon href=data:,>" });
    });
    await page.goto(site.address);
    await page.addScriptTag({ type: "module", url: "/probe.js" });
    await page.waitForFunction(() => "probe" in globalThis);
    expect(await page.evaluate(() => globalThis.probe.device())).toMatch(
      /^wasm: .* on the calling thread.*\(a compute thread cannot run/,
    );
  });

  test("says what is wrong with what it was asked for", async () => {
    await open("?dtype=float23");
    await until("error");
    expect(await page.getByRole("alert").textContent()).toMatch(/dtype.*float23/);
    expect(await page.getByTestId("ask").isDisabled()).toBe(true);
    await page.getByTestId("prompt-input").press("Enter");
    expect(await text("status")).toBe("error");
  });

  test("a file that is no picture is an error, and the next question is answered", async () => {
    await open("");
    await until("ready");
    const file = { name: "notes.jpg", mimeType: "image/jpeg", buffer: Buffer.from("no picture at all") };
    await page.getByTestId("image-input").setInputFiles(file);
    await page.getByTestId("ask").click();
    await until("error");
    expect(await page.getByRole("alert").textContent()).toMatch(/format|picture/i);
    await page.getByTestId("image-input").setInputFiles(GARDEN);
    expect(await ask(ELEPHANT)).toBe(expectedAnswer("garden.jpg", ELEPHANT));
    expect(await page.getByRole("alert").count()).toBe(0);
  });

  test("is usable by keyboard and by name, and fits narrow and wide windows", async () => {
    await open("");
    await until("ready");
    await page.getByLabel("Choose a picture").setInputFiles(GARDEN);
    for (const width of [390, 768, 1280, 1920]) {
      await page.setViewportSize({ width, height: 844 });
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    }
    const reached: string[] = [];
    for (let i = 0; i < 3; i++) {
      await page.keyboard.press("Tab");
      reached.push(await page.evaluate(() => document.activeElement?.getAttribute("data-testid") ?? ""));
    }
    expect(reached).toEqual(["image-input", "prompt-input", "ask"]);
    await page.getByLabel("Question").fill(ELEPHANT);
    await page.keyboard.press("Enter");
    await expect.poll(() => text("answer"), patient).toBe(expectedAnswer("garden.jpg", ELEPHANT));
    expect(await page.getByRole("status").textContent()).toMatch(/ready|busy/);
    expect(await page.getByRole("button", { name: "Stop" }).count()).toBe(1);
  });
});
