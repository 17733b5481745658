import { expect, test } from "vitest";
import { Automaton, type State } from "../../src/generation/grammar/automaton.ts";
import { Grammar } from "../../src/generation/grammar/grammar.ts";
import { schemaGrammar } from "../../src/generation/grammar/json_schema.ts";
import { seeded } from "../random.ts";

/** Patterns, with characters that texts to try them on are made of. What matches is what JavaScript says. */
const PATTERNS: [pattern: string, characters: string][] = [
  ["", "ab"],
  ["a", "ab"],
  ["^a", "ab"],
  ["a$", "ab"],
  ["^a|b$", "abc"],
  ["^(a|bc?)*$", "abc"],
  ["^(?:ab|a)(?:bc|c)$", "abc"],
  ["^a{2,3}b{0}c{1,}$", "abc"],
  ["^(?!.*bb)[ab]+$", "ab"],
  ["^(?=.{2,4}$)a*b*$", "ab"],
  ["^(?!ab)[a-c]+(?!b)c$", "abc"],
  ["^a(?=b)", "abc"],
  ["(?=ab)a(?!bc)", "abc"],
  ["^(?:a(?=b)|b){1,4}$", "abc"],
  ["^(?:(?!ba)[ab]){0,3}$", "ab"],
  ["(?:^a|b)c$", "abc"],
  ["^(?:a|b$)", "abc"],
  ["a(?:$|b)", "abc"],
  ["^(?<year>[0-9]{2})-\\d$", "1a-"],
  ["^[^a\\s]\\.$", "a .b"],
  ["^\\p{Lu}\\p{Ll}+$", "aBéÉ1"],
  ["^\\P{L}$", "aé1"],
  ["^\\u{1F600}|\\x41$", "😀AB"],
  ["^(([a-z])+.)+[A-Z]([a-z])+$", "aB."],
  ["^(a*)*b?$", "ab"],
  ["^(?:a?){3}b$", "ab"],
  ['^"\\\\\\n?$', '"\\\n'],
  ["^.$", "a\n\u2028"],
];

test.each(PATTERNS)("%s is what JavaScript takes it for", (pattern, characters) => {
  const grammar = new Grammar();
  const automaton = new Automaton(grammar, schemaGrammar(grammar, { type: "string", pattern }));
  const expression = new RegExp(pattern, "u");
  const next = seeded(pattern);
  const all = Array.from(characters);
  let found = 0;
  for (let i = 0; i < 400; i++) {
    const length = Math.floor(next() * 6);
    const text = Array.from({ length }, () => all[Math.floor(next() * all.length)]).join("");
    let state: State | null = automaton.start;
    for (const byte of new TextEncoder().encode(JSON.stringify(text)))
      state = state && automaton.step(state, byte);
    expect(state?.accepts === true, JSON.stringify(text)).toBe(expression.test(text));
    if (state?.accepts) found++;
  }
  expect(found).toBeGreaterThan(0);
});
