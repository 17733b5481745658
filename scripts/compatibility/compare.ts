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
    const key = [item.path, item.owner].find((path) => Object.hasOwn(notes, path));
    if (key !== undefined) used.add(key);
    return finding(item, isThere(item, types.get(item.owner)), key === undefined ? {} : notes[key]);
  });
  const idle = Object.keys(notes).filter((key) => !used.has(key));
  if (idle.length > 0) throw new Error(`notes of names that Transformers does not have: ${idle.join(", ")}`);
  return findings;
}

function finding(item: Item, there: boolean, { differs, throws, missing }: Note): Finding {
  if (throws !== undefined) return { item, state: "throws", why: throws };
  if (!there) return { item, state: "missing", why: missing ?? "not there yet" };
  if (missing !== undefined) throw new Error(`${item.path} is there: take its note away`);
  return differs === undefined ? { item, state: "there", why: "" } : { item, state: "differs", why: differs };
}

function isThere(item: Item, type: PublicName | undefined): boolean {
  if (type === undefined) return false;
  if (item.kind === "name") return true;
  const member = item.member ?? "";
  if (item.kind === "member") return type.members.has(member) || type.calls.has(member);
  const call = type.calls.get(member);
  if (call === undefined) return false;
  return call.names.has(item.parameter ?? "") || (item.position ?? Infinity) < call.positions;
}
