import { cp } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const pathOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

const CHECKPOINTS = pathOf("../checkpoints/");

/** Threads can share memory on pages that are isolated like this only. */
const headers = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** Lays the bundled checkpoint where the library looks for it: beside the page. */
function bundledCheckpoint(): Plugin {
  let out = "";
  return {
    name: "bundled-checkpoint",
    apply: "build",
    configResolved: (config) => {
      out = resolve(config.root, config.build.outDir);
    },
    closeBundle: () => cp(`${CHECKPOINTS}llava-demo`, `${out}/checkpoints/llava-demo`, { recursive: true }),
  };
}

const port = Number(process.env.PORT ?? 5173);

export default defineConfig({
  root: pathOf("."),
  build: { outDir: pathOf("../dist/web"), emptyOutDir: true, target: "es2023", chunkSizeWarningLimit: 1500 },
  resolve: { alias: { llava: pathOf("../dist/src/index.js") } },
  plugins: [bundledCheckpoint()],
  preview: { port, strictPort: true, headers, host: "127.0.0.1" },
});
