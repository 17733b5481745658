import type { PublicName } from "./public_types.ts";
import type { Item } from "./surface.ts";

/** What is to be said about a name, by its path or by its owner's. Without a note, a name is there as in Transformers. */
export interface Note {
  /** What is otherwise than in Transformers. */
  differs?: string;
  /** Why a call of it, or with it, throws UnsupportedError. */
  throws?: string;
  /** Why there is no such name. */
  missing?: string;
}

export interface Finding {
  item: Item;
  state: "there" | "differs" | "throws" | "missing";
  /** Empty for what is there. */
  why: string;
}

/**
 * Holds the names of the surface against the public types.
 *
 * @throws Error where a note speaks of what is not so
 */
export function compare(
  items: readonly Item[],
  types: ReadonlyMap<string, PublicName>,
  notes: Readonly<Record<string, Note>>,
): Finding[] {
  const used = new Set<string>();
  const findings = items.map((item) => {
    const key = pathsOf(item, notes).find((path) => Object.hasOwn(notes, path));
    if (key !== undefined) used.add(key);
    return finding(item, isThere(item, types.get(item.owner)), key === undefined ? {} : notes[key]);
  });
  const idle = Object.keys(notes).filter((key) => !used.has(key));
  if (idle.length > 0) throw new Error(`notes of names that Transformers does not have: ${idle.join(", ")}`);
  return findings;
}

/** Where a name's note may stand: at itself, at the member that it belongs to, or at its owner, where that throws. */
function pathsOf({ path, owner, member, kind }: Item, notes: Readonly<Record<string, Note>>): string[] {
  if (kind === "name") return [path];
  return [path, `${owner}.${member}`, ...(notes[owner]?.throws === undefined ? [] : [owner])];
}

function finding(item: Item, there: boolean, { differs, throws, missing }: Note): Finding {
  if (throws !== undefined) return { item, state: "throws", why: throws };
  if (!there) return { item, state: "missing", why: missing ?? "not there yet" };
  if (missing !== undefined) throw new Error(`${item.path} is there: take its note away`);
  return differs === undefined ? { item, state: "there", why: "" } : { item, state: "differs", why: differs };
}

/** Names that JavaScript does not allow for parameters: they are given by position. */
const RENAMED: Readonly<Record<string, string>> = { default: "positional" };

function isThere(item: Item, type: PublicName | undefined): boolean {
  if (type === undefined) return false;
  if (item.kind === "name") return true;
  const member = item.member ?? "";
  if (item.kind === "member") return type.members.has(member) || type.calls.has(member);
  const call = type.calls.get(member);
  if (call === undefined) return false;
  const { parameter = "", position = Infinity } = item;
  return call.names.has(parameter) || position < call.positions || RENAMED[parameter] === "positional";
}
