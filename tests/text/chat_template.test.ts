import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { env } from "../../src/base/env.ts";
import { CheckpointError, OptionError } from "../../src/base/errors.ts";
import {
  describeChatTemplate,
  type RenderOptions,
  renderChatTemplate,
} from "../../src/text/chat_template.ts";
import { plainData } from "../../src/text/plain_data.ts";
import { strftime } from "../../src/text/strftime.ts";
import { readJson } from "./support.ts";

interface Result {
  template: string;
  conversation: string;
  text?: string;
  spans?: [number, number][];
  error?: string;
}

interface Fixture {
  templates: Record<string, string>;
  conversations: Record<string, Record<string, unknown>[]>;
  tools: unknown[];
  variables: Record<string, unknown>;
  free: Record<string, string[]>;
  cases: (Result & { add_generation_prompt: boolean })[];
  continued: (Result & { field: true | string })[];
}

const fixture = readJson<Fixture>("tests/fixtures/text/chat.json");
const documents = [
  { title: "T1", text: "x" },
  { title: "T2", text: "y" },
];

function render(template: string, options: Partial<RenderOptions> = {}) {
  return renderChatTemplate({
    conversations: [[]],
    template,
    own: false,
    add_generation_prompt: false,
    continue_final_message: false,
    return_assistant_tokens_mask: false,
    variables: {},
    ...options,
  });
}

/** Runs what may fail as Python did, and compares. */
function compare(expected: Result, run: () => ReturnType<typeof renderChatTemplate>): void {
  if (expected.error === undefined) {
    const { prompts, generation } = run();
    expect(prompts[0]).toBe(expected.text);
    if (expected.spans !== undefined && expected.spans.length > 0)
      expect(generation[0]).toEqual(expected.spans);
  } else expect(run).toThrow(OptionError);
}

describe("chat templates", () => {
  const logger = env.logger;
  beforeEach(() => {
    env.logger = vi.fn();
  });
  afterEach(() => {
    env.logger = logger;
  });

  it.each(fixture.cases)("$template: $conversation ($add_generation_prompt)", (expected) => {
    const { add_generation_prompt } = expected;
    compare(expected, () =>
      render(fixture.templates[expected.template], {
        conversations: [fixture.conversations[expected.conversation]],
        add_generation_prompt,
        return_assistant_tokens_mask: true,
        tools: add_generation_prompt ? fixture.tools : null,
        documents: add_generation_prompt ? documents : null,
        variables: fixture.variables,
      }),
    );
  });

  it.each(fixture.continued)("$template: continues $conversation at $field", (expected) => {
    compare(expected, () =>
      render(fixture.templates[expected.template], {
        conversations: [fixture.conversations[expected.conversation]],
        continue_final_message: expected.field,
        variables: fixture.variables,
      }),
    );
  });

  it.each(Object.entries(fixture.free))("finds the variables of: %s", (name, expected) => {
    const found = [...describeChatTemplate(fixture.templates[name], true).variables].sort();
    expect(found).toEqual(expected);
  });

  it("does not confuse its own marks with a user's private characters", () => {
    const text = "a\u{100000}b\u{100001}c";
    const { prompts, generation } = render("{% generation %}{{ messages[0].content }}{% endgeneration %}.", {
      conversations: [[{ role: "user", content: text }]],
      return_assistant_tokens_mask: true,
    });
    expect(prompts[0]).toBe(`${text}.`);
    expect(generation[0]).toEqual([[0, 5]]);
  });

  it("leaves the caller's messages as they were", () => {
    const messages = [{ role: "assistant", content: [{ type: "text", text: "A" }], thinking: "t" }];
    const before = structuredClone(messages);
    render(fixture.templates["llava-demo"], { conversations: [messages], continue_final_message: true });
    expect(messages).toEqual(before);
  });

  it("says what the template says with raise_exception", () => {
    expect(() => render("{{ raise_exception('Only user roles!') }}")).toThrow(
      "The chat template refuses this conversation: Only user roles!",
    );
  });

  it("takes a broken template for the checkpoint's fault, or the caller's", () => {
    expect(() => render("{% for %}", { own: true })).toThrow(CheckpointError);
    expect(() => render("{% for %}")).toThrow(OptionError);
    expect(() => render(" ".repeat(2 ** 20 + 1))).toThrow(/characters/);
  });

  it.each([
    ["a long range", "{% for i in range(100001) %}{% endfor %}", /Range too big/],
    [
      "loops in loops",
      `{% for a in range(3000) %}{% for b in range(300) %}${"{{ a }}".repeat(60)}{% endfor %}{% endfor %}`,
      /too many steps/,
    ],
    [
      "text that doubles",
      "{% set n = namespace(t='xxxxxxxx') %}{% for i in range(40) %}{% set n.t = n.t + n.t %}{% endfor %}",
      /writes more than/,
    ],
  ])("stops %s", (_, template, message) => {
    expect(() => render(template)).toThrow(message);
    expect(() => render(template)).toThrow(OptionError);
  });

  it("shows templates plain data only", () => {
    class Picture {
      readonly secret = "x";
    }
    expect(plainData({ a: [1, new Picture()], b: undefined, c: new Uint8Array(3), d: () => 1 })).toEqual({
      a: [1, "<Picture>"],
      c: "<Uint8Array>",
      d: "<function>",
    });
    const loop: Record<string, unknown> = {};
    loop.self = loop;
    expect(() => render("x", { conversations: [[loop]] })).toThrow(OptionError);
  });

  it("writes the date of now", () => {
    const date = new Date(2024, 6, 4, 15, 7, 9);
    expect(strftime(date, "%d %b %Y|%A %B %-d|%H:%M:%S %I %p %j %y %% %Q")).toBe(
      "04 Jul 2024|Thursday July 4|15:07:09 03 PM 186 24 % %Q",
    );
    expect(render("{{ strftime_now('%Y') }}").prompts[0]).toBe(String(new Date().getFullYear()));
  });
});
