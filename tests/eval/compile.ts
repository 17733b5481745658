import { cp, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Compiles folders and files of the project into another one, so that a plain Node process can run them. */
export async function compile(target: string, sources: readonly string[]): Promise<void> {
  for (const source of sources) {
    const files = source.endsWith(".ts") ? [source] : await sourceFiles(source);
    for (const file of files) await compileFile(target, file);
  }
  await cp(join(ROOT, "package.json"), join(target, "package.json"));
  await symlink(join(ROOT, "node_modules"), join(target, "node_modules"));
}

async function sourceFiles(folder: string): Promise<string[]> {
  const names = await readdir(join(ROOT, folder), { recursive: true });
  return names.filter((name) => name.endsWith(".ts")).map((name) => join(folder, name));
}

async function compileFile(target: string, file: string): Promise<void> {
  const compilerOptions = {
    module: ts.ModuleKind.ESNext,
    target: ts.ScriptTarget.ES2023,
    verbatimModuleSyntax: true,
    rewriteRelativeImportExtensions: true,
  };
  const { outputText } = ts.transpileModule(await readFile(join(ROOT, file), "utf8"), { compilerOptions });
  const path = join(target, file.replace(/\.ts$/, ".js"));
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, outputText);
}
