import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium } from "playwright-core";
import { build, type PreviewServer, preview, type Rolldown } from "vite";

const CONFIG = fileURLToPath(new URL("../../web/vite.config.ts", import.meta.url));
const PROBE = fileURLToPath(new URL("./probe.ts", import.meta.url));

const PLACES = [
  process.env.CHROMIUM_PATH ?? "",
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** Where this machine's Chromium is. */
export const chromiumPath = PLACES.find((path) => path !== "" && existsSync(path));

/** Why tests in a browser are skipped, unless REQUIRE_CHROMIUM is set: then they fail. */
export const skipped =
  chromiumPath === undefined && !process.env.REQUIRE_CHROMIUM
    ? "there is no Chromium on this machine (CHROMIUM_PATH names one)"
    : undefined;

/** The demo as it is built and served, and a browser. */
export interface Site {
  browser: Browser;
  /** With a slash at its end. */
  address: string;
  /** What the demo was bundled from. */
  modules: readonly string[];
  close(): Promise<void>;
}

/** Builds the demo, and `probe.js` beside it, into a folder of its own, and serves it. */
export async function openSite(): Promise<Site> {
  if (chromiumPath === undefined) throw new Error("REQUIRE_CHROMIUM is set, but there is no Chromium");
  const outDir = await mkdtemp(join(tmpdir(), "llava-web-"));
  const common = { configFile: CONFIG, logLevel: "error" } as const;
  const built = (await build({ ...common, build: { outDir } })) as Rolldown.RolldownOutput;
  const modules = built.output.flatMap((file) => (file.type === "chunk" ? file.moduleIds : []));
  const output = { entryFileNames: "probe.js" };
  const options = { input: PROBE, output, preserveEntrySignatures: "allow-extension" } as const;
  await build({ ...common, build: { outDir, emptyOutDir: false, rolldownOptions: options } });
  const server: PreviewServer = await preview({
    ...common,
    build: { outDir },
    preview: { port: 0, strictPort: false },
  });
  const browser = await chromium.launch({ executablePath: chromiumPath, args: ["--no-sandbox"] });
  return {
    browser,
    modules,
    address: server.resolvedUrls?.local[0] ?? "",
    async close() {
      await browser.close();
      await server.close();
      await rm(outDir, { recursive: true, force: true });
    },
  };
}
