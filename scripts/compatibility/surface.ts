import { readFileSync } from "node:fs";

/** A parameter that must be given, or `[name]` for one that may. */
type Parameter = string | [string];

/** What Transformers has under one public name. */
interface Entry {
  init?: Parameter[];
  function?: Parameter[];
  methods?: Record<string, Parameter[]>;
  fields?: string[];
  /** Options that a method takes as `**kwargs`. */
  options?: Record<string, string[]>;
}

/** tests/fixtures/surface.json */
export interface Surface {
  transformers: string;
  /** Names that are left out, wherever they occur, and why. */
  excluded: Record<string, string>;
  names: Record<string, Entry>;
}

/** One name of the surface. */
export interface Item {
  /** `LlavaConfig`, `LlavaConfig.to_dict`, `LlavaConfig.to_json_string(use_diff)`. */
  path: string;
  /** The public name that it belongs to. */
  owner: string;
  kind: "name" | "member" | "parameter";
  /** The member, or what takes the parameter. */
  member?: string;
  parameter?: string;
  /** Of a parameter that must be given: its place. */
  position?: number;
}

export function readSurface(file: string | URL): Surface {
  return JSON.parse(readFileSync(file, "utf8")) as Surface;
}

/** Every name, one after the other, without what is excluded. */
export function itemsOf({ names, excluded }: Surface): Item[] {
  const wanted = (name: string): boolean => !Object.hasOwn(excluded, name);
  return Object.entries(names)
    .filter(([name]) => wanted(name))
    .flatMap(([owner, entry]) => itemsOfEntry(owner, entry, wanted));
}

function itemsOfEntry(owner: string, entry: Entry, wanted: (name: string) => boolean): Item[] {
  const items: Item[] = [{ path: owner, owner, kind: "name" }];
  for (const member of entry.fields ?? []) {
    if (wanted(member)) items.push({ path: `${owner}.${member}`, owner, kind: "member", member });
  }
  if (entry.init) items.push(...parameters(owner, "constructor", entry.init));
  if (entry.function) items.push(...parameters(owner, "__call__", entry.function));
  for (const [member, taken] of Object.entries(entry.methods ?? {})) {
    if (!wanted(member)) continue;
    items.push({ path: `${owner}.${member}`, owner, kind: "member", member });
    items.push(...parameters(owner, member, taken).filter(({ parameter }) => wanted(parameter ?? "")));
  }
  for (const [member, taken] of Object.entries(entry.options ?? {})) {
    items.push(
      ...parameters(
        owner,
        member,
        taken.map((name): [string] => [name]),
      ),
    );
  }
  const seen = new Set<string>();
  return items.filter(({ path }) => !seen.has(path) && seen.add(path));
}

function parameters(owner: string, member: string, taken: readonly Parameter[]): Item[] {
  const call =
    member === "__call__" ? owner : member === "constructor" ? `new ${owner}` : `${owner}.${member}`;
  return taken.map((parameter, position) => {
    const name = typeof parameter === "string" ? parameter : parameter[0];
    const item: Item = { path: `${call}(${name})`, owner, kind: "parameter", member, parameter: name };
    return typeof parameter === "string" ? { ...item, position } : item;
  });
}
