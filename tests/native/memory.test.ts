import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { UnsupportedError } from "../../src/base/errors.ts";
import { CodeMemory } from "../../src/devices/native/code.ts";
import { itIf, withEngine } from "./support.ts";

const linux = process.platform === "linux";

withEngine((engine) => {
  it("gives zeroed memory, seen as any kind of array", () => {
    const region = engine.allocate(3 * 2 ** 20 + 5);
    expect(region.bytes).toBe(3 * 2 ** 20 + 5);
    expect(region.address % 4096).toBe(0);
    const [bytes, floats] = [region.array(Uint8Array, 0, 8), region.array(Float32Array, 4, 1)];
    expect([...bytes]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    floats[0] = 1;
    expect([...bytes]).toEqual([0, 0, 0, 0, 0, 0, 0x80, 0x3f]);
    region.write(region.bytes - 3, Uint8Array.of(1, 2, 3));
    expect([...region.read(region.bytes - 4, 4)]).toEqual([0, 1, 2, 3]);
    region.free();
    region.free();
  });

  it("refuses what is outside", () => {
    const region = engine.allocate(100);
    for (const [offset, length] of [
      [96, 5],
      [-1, 1],
      [200, 0],
      [0, 101],
    ])
      expect(() => region.array(Uint8Array, offset, length)).toThrow(UnsupportedError);
    region.free();
    expect(() => region.array(Uint8Array, 0, 1)).toThrow(UnsupportedError);
  });

  it("is larger than an array can be", () => {
    // Only the touched pages take memory.
    const region = engine.allocate(2 ** 32 + 2 ** 22);
    const data = Uint8Array.from({ length: 9000 }, (_, i) => i * 31);
    region.write(2 ** 32 - 4500, data);
    expect(region.read(2 ** 32 - 4500, 9000)).toEqual(data);
    expect(region.array(Uint8Array, 2 ** 32, 4500)).toEqual(data.subarray(4500));
    expect(() => region.array(Uint8Array, 2 ** 32 - 1, 2)).toThrow(/cross a multiple of 4 GiB/);
    region.free();
  });

  it("says how much it could not get", () => {
    expect(() => engine.allocate(2 ** 46)).toThrow(/the system gives no 65536.0 GiB of memory/);
  });

  itIf(linux, "it is read from /proc")("never has code that is writable and executable at once", () => {
    const code = new CodeMemory(engine.system);
    const places = [10, 5000, 2 ** 20 + 1, 64].map((bytes) => code.place(new Uint8Array(bytes).fill(0xc3)));
    expect(places.every((address) => address % 64 === 0)).toBe(true);
    const maps = readFileSync("/proc/self/maps", "utf8")
      .trim()
      .split("\n")
      .map((line) => {
        const [, from, to, rights] = /^(\w+)-(\w+) (\S+)/.exec(line)!;
        return { from: Number.parseInt(from, 16), to: Number.parseInt(to, 16), rights };
      });
    for (const address of places)
      expect(maps.find(({ from, to }) => from <= address && address < to)?.rights).toBe("r-xp");
    const { koffi } = engine.system;
    koffi.decode(BigInt(places[1]), koffi.proto("void", []))();
    expect(code.bytes).toBeGreaterThan(2 ** 21);
    code.free();
    expect(code.bytes).toBe(0);
  });

  it("sees files as memory", () => {
    const folder = mkdtempSync(join(tmpdir(), "llava-"));
    const path = join(folder, "file");
    const content = Uint8Array.from({ length: 10_000 }, (_, i) => i * 13);
    writeFileSync(path, content);
    const mapping = engine.system.mapFile(path);
    expect(mapping.bytes).toBe(10_000);
    const view = new Uint8Array(engine.system.koffi.view(BigInt(mapping.address), mapping.bytes)).slice();
    expect(view).toEqual(content);
    mapping.close();
    writeFileSync(path, "");
    expect(engine.system.mapFile(path)).toMatchObject({ bytes: 0 });
    expect(() => engine.system.mapFile(join(folder, "none"))).toThrow(/ENOENT/);
    rmSync(folder, { recursive: true });
  });
});
