import { warnOnce } from "../base/env.ts";
import { CheckpointError, OptionError } from "../base/errors.ts";
import { codePointIndex } from "./aligned_text.ts";
import { runChatTemplate, TemplateRefusal } from "./chat_interpreter.ts";
import { type ChatProgram, type Marks, parseChatTemplate } from "./chat_program.ts";
import { plainData } from "./plain_data.ts";

/** A message as a template sees it: at least a role, and mostly content. */
export type TemplateMessage = Readonly<Record<string, unknown>>;

/** Characters `[start, end)`, counted in code points. */
export type Span = [start: number, end: number];

export interface RenderOptions {
  conversations: readonly (readonly TemplateMessage[])[];
  template: string;
  /** Whether the template is the checkpoint's own: what is wrong with it is then the checkpoint's fault. */
  own: boolean;
  tools?: unknown;
  documents?: unknown;
  add_generation_prompt: boolean;
  /** Leaves the last message open: true for its content, or the name of the field. */
  continue_final_message: boolean | string;
  /** Whether the spans are wanted; says so where the template has no `generation` block. */
  return_assistant_tokens_mask: boolean;
  variables: Readonly<Record<string, unknown>>;
}

export interface Rendered {
  /** One prompt a conversation. */
  prompts: string[];
  /** For each prompt, what `generation` blocks wrote. */
  generation: Span[][];
}

/**
 * Renders conversations by a chat template, in the environment that Transformers gives it.
 *
 * @throws OptionError where the template refuses the conversation or cannot render it
 * @throws CheckpointError where the checkpoint's own template is no template
 */
export function renderChatTemplate(options: RenderOptions): Rendered {
  const { template, own } = options;
  const shared = {
    tools: plain(options.tools),
    documents: plain(options.documents),
    add_generation_prompt: options.add_generation_prompt,
    ...(plain(options.variables) as Record<string, unknown>),
  };
  if (options.return_assistant_tokens_mask && !chatProgram(template, own).hasGeneration) {
    warnOnce(
      "return_assistant_tokens_mask: the chat template has no {% generation %} block, so the mask is all 0.",
    );
  }
  const prompts: string[] = [];
  const generation: Span[][] = [];
  for (const conversation of options.conversations) {
    const messages = (plain(conversation) as Record<string, unknown>[]).map(aliasReasoning);
    const open = options.continue_final_message
      ? openFinalMessage(messages, options.continue_final_message, template)
      : undefined;
    const variables = { ...shared, messages };
    const marks = marksFor(JSON.stringify(variables));
    const [text, spans] = takeMarks(run(chatProgram(template, own, marks), variables), marks);
    prompts.push(open === undefined ? text : cutAtTag(text, open));
    generation.push(spans);
  }
  return { prompts, generation };
}

/** The variables that a template reads, and its literal text. */
export function describeChatTemplate(
  template: string,
  own: boolean,
): Pick<ChatProgram, "variables" | "literals"> {
  return chatProgram(template, own);
}

/** Parsed templates, the latest last. */
const programs = new Map<string, ChatProgram>();
const MAX_PROGRAMS = 16;

const MARKS: Marks = marksAt(0);

function chatProgram(template: string, own: boolean, marks = MARKS): ChatProgram {
  const key = marks.start + template;
  let program = programs.get(key);
  if (program === undefined) {
    program = parseOrThrow(template, own, marks);
    const [oldest] = programs.keys();
    if (programs.size >= MAX_PROGRAMS) programs.delete(oldest);
    programs.set(key, program);
  }
  return program;
}

function parseOrThrow(template: string, own: boolean, marks: Marks): ChatProgram {
  try {
    return parseChatTemplate(template, marks);
  } catch (cause) {
    const reason = `The chat template cannot be read: ${messageOf(cause)}`;
    if (own) throw new CheckpointError(reason, { where: "chat_template", cause });
    throw new OptionError(reason, { where: "chat_template", cause });
  }
}

function run(program: ChatProgram, variables: Readonly<Record<string, unknown>>): string {
  try {
    return runChatTemplate(program, variables);
  } catch (cause) {
    const reason =
      cause instanceof TemplateRefusal
        ? `The chat template refuses this conversation: ${cause.message}`
        : `The chat template cannot render this conversation: ${messageOf(cause)}`;
    throw new OptionError(reason, { where: "conversation", cause });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function plain(value: unknown): unknown {
  try {
    return plainData(value);
  } catch (cause) {
    throw new OptionError(`The conversation cannot be shown to the template: ${messageOf(cause)}`, {
      where: "conversation",
      cause,
    });
  }
}

function marksAt(i: number): Marks {
  return { start: String.fromCodePoint(0x100000 + 2 * i), end: String.fromCodePoint(0x100001 + 2 * i) };
}

/** Private characters that do not occur in what is to be written. */
function marksFor(text: string): Marks {
  for (let i = 0; ; i++) {
    const marks = marksAt(i);
    if (!text.includes(marks.start) && !text.includes(marks.end)) return marks;
  }
}

/** The text without marks, and the spans between them. */
function takeMarks(marked: string, { start, end }: Marks): [string, Span[]] {
  if (!marked.includes(start)) return [marked, []];
  const spans: Span[] = [];
  const open: number[] = [];
  let text = "";
  for (const part of marked.split(new RegExp(`(${start}|${end})`, "u"))) {
    if (part === start) open.push(text.length);
    else if (part === end) spans.push([open.pop() ?? text.length, text.length]);
    else text += part;
  }
  const index = codePointIndex(text);
  return [text, spans.map(([from, to]): Span => [index(from), index(to)])];
}

/** Names under which a message's reasoning is given; the first is the one that templates read. */
const REASONING_FIELDS = ["reasoning_content", "thinking", "reasoning"];

function aliasReasoning(message: unknown): Record<string, unknown> {
  if (typeof message !== "object" || message === null || Array.isArray(message)) {
    throw new OptionError(
      `Each message must be an object with a role and content, got ${JSON.stringify(message)}`,
      {
        where: "conversation",
        got: message,
      },
    );
  }
  const fields = message as Record<string, unknown>;
  const reasoning = REASONING_FIELDS.map((name) => fields[name]).find(
    (value) => value !== undefined && value !== null,
  );
  if (reasoning === undefined) return fields;
  return { thinking: reasoning, ...fields, reasoning_content: reasoning };
}

const TAG = "CONTINUE_FINAL_MESSAGE_TAG ";

/** Puts a tag at the end of the last message's text, in place. @returns that text */
function openFinalMessage(
  messages: Record<string, unknown>[],
  field: string | true,
  template: string,
): string {
  const name = field === true ? "content" : field;
  const last = messages.at(-1);
  if (last === undefined) throw continueError("the conversation is empty");
  const final = last[name] ?? null;
  if (final === null) throw continueError(`the final message has no '${name}' to continue`);
  const fields = REASONING_FIELDS.includes(name)
    ? REASONING_FIELDS.filter((other) => last[other] === final)
    : [name];
  if (!fields.some((other) => template.includes(other))) {
    throw continueError(`the chat template knows no field '${name}'`);
  }
  if (typeof final === "string") {
    for (const other of fields) last[other] = final + TAG;
    return final;
  }
  const block = Array.isArray(final) ? final.findLast(hasText) : undefined;
  if (block === undefined) throw continueError("there is no text to continue in the final message");
  const { text } = block;
  block.text = text + TAG;
  return text;
}

function hasText(block: unknown): block is { text: string } {
  return typeof block === "object" && block !== null && "text" in block && typeof block.text === "string";
}

function cutAtTag(text: string, final: string): string {
  const at = text.lastIndexOf(TAG.trim());
  if (at < 0 || !text.includes(final.trim())) {
    throw continueError(
      "the final message does not appear in the chat after the chat template was applied. Does the template leave parts of it out?",
    );
  }
  // Where the space of the tag is gone, the template trims, and so the message ends without spaces.
  return text.startsWith(TAG, at) ? text.slice(0, at) : text.slice(0, at).trimEnd();
}

function continueError(reason: string): OptionError {
  return new OptionError(`continue_final_message is set, but ${reason}.`, {
    where: "continue_final_message",
  });
}
