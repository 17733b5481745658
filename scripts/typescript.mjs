// Lets Node 20 run TypeScript files: node --import ./scripts/typescript.mjs bench/codegen.ts
// (Node from 22.18 on does so by itself.)
import { register } from "node:module";

register("./typescript_hooks.mjs", import.meta.url);
