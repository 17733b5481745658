// Puts what the compiler leaves out beside the compiled chat page.
import { copyFile, mkdir } from "node:fs/promises";

const from = new URL("../server/page/", import.meta.url);
const to = new URL("../dist/server/page/", import.meta.url);
await mkdir(to, { recursive: true });
for (const file of ["index.html", "page.css", "icon.svg"])
  await copyFile(new URL(file, from), new URL(file, to));
