import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    testTimeout: 30_000,
    // Two workers: the machines this must pass on have two cores.
    maxWorkers: 2,
  },
});
