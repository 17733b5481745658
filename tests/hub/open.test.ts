import { homedir } from "node:os";
import { basename, join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { CheckpointError, OptionError } from "../../src/base/errors.ts";
import { idFault, revisionFault } from "../../src/hub/ids.ts";
import { toPath } from "../../src/hub/locate_node.ts";
import { openRepository } from "../../src/hub/open.ts";
import type { HubOptions } from "../../src/hub/repository.ts";
import { openWeights } from "../../src/hub/weights.ts";
import { folder, rejection } from "./support.ts";

const path = folder({
  "config.json": '{"a": Infinity, "b": "Infinity", "c": -Infinity}',
  "bad.json": '{\n  "a": 1,\n  "b": oops\n}',
  "empty.json": "",
  "latin.json": Buffer.from('{"a": "\xe9"}', "latin1"),
  "sub/folder/config.json": "[1]",
});

describe("a folder", () => {
  test.each([
    ["absolute", path],
    ["relative", relative(process.cwd(), path)],
    ["a file URL", pathToFileURL(path).href],
    ["with a slash at the end", `${path}/`],
  ])("%s", async (_, name) => {
    const repository = await openRepository(name);
    expect(repository.name).toBe(name);
    expect(await repository.json("config.json")).toEqual({ a: Infinity, b: "Infinity", c: -Infinity });
    expect(await repository.list()).toEqual([
      "bad.json",
      "config.json",
      "empty.json",
      "latin.json",
      "sub/folder/config.json",
    ]);
    expect(await repository.has("config.json")).toBe(true);
    expect(await repository.has("no.json")).toBe(false);
    expect(await repository.has("sub")).toBe(false);
  });

  test("~ is the user's", () => {
    expect(toPath("~/x/y")).toBe(join(homedir(), "x/y"));
    expect(toPath("~")).toBe(homedir());
    expect(basename(toPath("~x"))).toBe("~x");
  });

  test("subfolder", async () => {
    const repository = await openRepository(path, { subfolder: "sub/folder/" });
    expect(await repository.json("config.json")).toEqual([1]);
    expect((await rejection(openRepository(path, { subfolder: "nowhere" }))).message).toMatch(/'nowhere'/);
  });

  test.each([
    ["bad.json", /^bad\.json: not valid JSON: .*line 3, column 8/],
    ["empty.json", /^empty\.json: .*empty/],
    ["latin.json", /^latin\.json: .*UTF-8/],
    ["none.json", /there is no file 'none\.json'/],
    ["sub", /there is no file 'sub'/],
    ["../x", /not allowed/],
    ["/etc/passwd", /absolute/],
    ["sub/../../x", /not allowed/],
    ["", /empty/],
    ["a\0b", /NUL/],
  ])("the file %j gives a CheckpointError", async (file, message) => {
    const repository = await openRepository(path);
    const error = (await rejection(repository.json(file))) as CheckpointError;
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatch(message);
    expect(error.file).toBe(file);
  });

  test("a large file that is not there", async () => {
    const repository = await openRepository(path);
    expect(await rejection(repository.open("none.safetensors"))).toBeInstanceOf(CheckpointError);
    expect(await rejection(repository.open("../none.safetensors"))).toBeInstanceOf(CheckpointError);
    expect(await rejection(repository.has("../config.json"))).toBeInstanceOf(CheckpointError);
  });
});

test("llava-demo is the checkpoint of the package", async () => {
  const repository = await openRepository("llava-demo");
  expect(await repository.json("config.json")).toMatchObject({ model_type: "llava" });
  const weights = await openWeights(repository);
  expect(weights.names().length).toBeGreaterThan(10);
  await weights.close();
});

test.each([
  ["/no/such/folder", /no folder \/no\/such\/folder/],
  ["./nowhere", /no folder .*nowhere.*looks like a path/],
  ["org/name/more", /at most one '\/'/],
  ["what is this?", /letters, digits/],
  [join(path, "config.json"), /is a file/],
  ["https://huggingface.co/llava-hf/llava-1.5-7b-hf", /looks like a path/],
  ["file://host/x", /file URL/],
])("%s is refused in words", async (name, message) => {
  const error = await rejection(openRepository(name));
  expect(error).toBeInstanceOf(CheckpointError);
  expect(error.message).toMatch(message);
  expect(error.message).toContain(name);
});

test.each<[HubOptions, RegExp]>([
  [{ revison: "main" } as HubOptions, /'revison'.*'revision'/],
  [{ revision: "../x" }, /revision/],
  [{ revision: "" }, /revision/],
  [{ subfolder: "../x" }, /subfolder/],
  [{ subfolder: "/x" }, /subfolder/],
  [{ force_download: true, local_files_only: true }, /exclude/],
  [{ cache_dir: 3 as unknown as string }, /'cache_dir'/],
  [{ token: 3 as unknown as string }, /'token'/],
])("options %j are refused", async (options, message) => {
  const error = await rejection(openRepository(path, options));
  expect(error).toBeInstanceOf(OptionError);
  expect(error.message).toMatch(message);
});

test.each([undefined, null, 3, "", " "])("the name %j is refused", async (name) => {
  expect(await rejection(openRepository(name as string))).toBeInstanceOf(OptionError);
});

test("an aborted signal rejects with its reason", async () => {
  const reason = new Error("enough");
  expect(await rejection(openRepository(path, { signal: AbortSignal.abort(reason) }))).toBe(reason);
});

// The verdicts of huggingface_hub 2.4's validate_repo_id.
test.each([
  ["foo", true],
  ["foo/bar", true],
  ["123", true],
  ["Foo-BAR_foo.bar123", true],
  ["_foo_/_bar_", true],
  [`${"a".repeat(96)}/${"b".repeat(96)}`, true],
  ["a".repeat(97), false],
  ["datasets/foo/bar", false],
  [".repo_id", false],
  ["repo-", false],
  ["org/-name", false],
  ["foo--bar", false],
  ["foo..bar", false],
  ["foo.git", false],
  ["café", false],
  ["a/", false],
  ["/a", false],
  ["a b", false],
  ["a\n", false],
  ["", false],
])("the id %j is legal: %s", (id, legal) => {
  expect(idFault(id) === undefined).toBe(legal);
});

test.each([
  ["main", true],
  ["refs/pr/1", true],
  ["v1.0+x", true],
  ["a".repeat(40), true],
  ["a//b", false],
  ["a/../b", false],
  ["..", false],
  ["/x", false],
  ["a b", false],
  ["a?b", false],
  ["a%2e", false],
])("the revision %j is legal: %s", (revision, legal) => {
  expect(revisionFault(revision) === undefined).toBe(legal);
});
