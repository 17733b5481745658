import type { ChatProgram, Role } from "./chat_program.ts";
import { Environment, type ForNode, Interpreter, type Node, type RuntimeValue } from "./jinja.ts";
import { strftime } from "./strftime.ts";

/** Most nodes that a template may evaluate, and most characters that it may write. */
const MAX_STEPS = 300_000;
const MAX_OUTPUT = 2 ** 24;
/** Longest `range`, as in Jinja's sandbox. */
const MAX_RANGE = 100_000;

/** What a template says with `raise_exception`. */
export class TemplateRefusal extends Error {}

/**
 * Runs a template with the globals of Transformers' environment, and with Python's ways where the library has
 * JavaScript's: what is printed, what strings and undefined values are when looped over or filtered.
 *
 * @throws TemplateRefusal where the template calls raise_exception, Error where it cannot run
 */
export function runChatTemplate(chat: ChatProgram, variables: Readonly<Record<string, unknown>>): string {
  const globals = new Environment();
  for (const [name, value] of Object.entries(GLOBALS)) globals.set(name, value);
  const environment = new Environment(globals);
  for (const [name, value] of Object.entries(variables)) environment.set(name, value);
  return String(new PythonicInterpreter(environment, chat.roles).run(chat.program).value);
}

const GLOBALS: Readonly<Record<string, unknown>> = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  range: (...bounds: number[]) => range(bounds),
  strftime_now: (format: string) => strftime(new Date(), format),
  raise_exception: (message: unknown) => {
    throw new TemplateRefusal(String(message));
  },
};

function range(bounds: readonly number[]): number[] {
  const [start, stop, step] =
    bounds.length === 1 ? [0, bounds[0], 1] : [bounds[0], bounds[1], bounds[2] ?? 1];
  if (![start, stop, step].every(Number.isInteger) || step === 0)
    throw new Error("range() takes whole numbers");
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (length > MAX_RANGE) throw new Error(`Range too big. The maximum size is ${MAX_RANGE}.`);
  return Array.from({ length }, (_, i) => start + i * step);
}

/** Leaves the body of a loop. What the body has written so far stays written. */
class LoopControl extends Error {
  readonly ends: boolean;
  written = "";

  /** @param ends whether the loop ends with it */
  constructor(ends: boolean) {
    super("there is no loop to leave");
    this.ends = ends;
  }
}

/** A loop that is being run. */
interface Loop {
  readonly body: readonly Node[];
  ended: boolean;
  /** Rounds that were left, and rounds that were not. */
  left: number;
  whole: number;
}

class PythonicInterpreter extends Interpreter {
  private readonly roles: ReadonlyMap<Node, Role>;
  private steps = 0;
  /** Types of the left sides of the sums that are being computed. */
  private readonly sums: string[] = [];
  private readonly loops: Loop[] = [];

  constructor(environment: Environment, roles: ReadonlyMap<Node, Role>) {
    super(environment);
    this.roles = roles;
  }

  override evaluate(node: Node | undefined, environment: Environment): RuntimeValue {
    if (++this.steps > MAX_STEPS) throw new Error("it takes too many steps");
    if (node?.type === "Break" || node?.type === "Continue") throw new LoopControl(node.type === "Break");
    const value = super.evaluate(node, environment);
    if (value.type === "StringValue" && (value.value as string).length > MAX_OUTPUT) {
      throw new Error(`it writes more than ${MAX_OUTPUT} characters`);
    }
    const role = node && this.roles.get(node);
    if (role === "left") this.sums.push(value.type);
    if (role === "right") checkSum(this.sums.pop(), value.type);
    return role === undefined ? value : asUsed(value, role);
  }

  override evaluateFor(node: ForNode, environment: Environment): RuntimeValue {
    const loop: Loop = { body: node.body, ended: false, left: 0, whole: 0 };
    this.loops.push(loop);
    let text: RuntimeValue;
    try {
      text = super.evaluateFor(node, environment);
    } finally {
      this.loops.pop();
    }
    // As in Jinja, a loop of which every round was left has its else, too.
    if (loop.left === 0 || loop.whole > 0) return text;
    return runtimeValue(`${text.value}${this.evaluateBlock(node.defaultBlock, environment).value}`);
  }

  /** The library forgets what a round of a loop has written before it is left. */
  override evaluateBlock(statements: readonly Node[], environment: Environment): RuntimeValue {
    const loop = this.loops.at(-1);
    const isRound = loop?.body === statements;
    if (isRound && loop.ended) return runtimeValue("");
    let text = "";
    try {
      for (const statement of statements) {
        const value = this.evaluate(statement, environment);
        if (value.type !== "NullValue" && value.type !== "UndefinedValue") text += value.toString();
      }
    } catch (error) {
      if (!(error instanceof LoopControl)) throw error;
      error.written = text + error.written;
      if (!isRound) throw error;
      loop.ended = error.ends;
      loop.left++;
      return runtimeValue(error.written);
    }
    if (isRound) loop.whole++;
    return runtimeValue(text);
  }
}

/** Python adds text to text alone. */
function checkSum(left: string | undefined, right: string): void {
  if ((left === "StringValue") === (right === "StringValue")) return;
  const other = left === "StringValue" ? right : String(left);
  throw new Error(`can only concatenate text to text, not ${other.replace("Value", "").toLowerCase()}`);
}

/** The value as Python would take it in that role. */
function asUsed(value: RuntimeValue, role: Role): RuntimeValue {
  const isString = value.type === "StringValue";
  const isUndefined = value.type === "UndefinedValue";
  switch (role) {
    case "printed":
      return isString || isUndefined ? value : runtimeValue(print(value));
    case "iterated":
      if (isString) return runtimeValue(Array.from(value.value as string));
      return isUndefined ? runtimeValue([]) : value;
    case "selected":
      // No character of a string has the attribute that is asked for.
      return isString || isUndefined ? runtimeValue([]) : value;
    case "listed":
      return isUndefined ? runtimeValue([]) : value;
    case "text":
      return isString ? value : runtimeValue(isUndefined ? "" : print(value));
    case "object":
      if (isUndefined) throw new Error("it asks for a part of something that is not there");
      return value;
    case "left":
    case "right":
      return value;
  }
}

function runtimeValue(value: unknown): RuntimeValue {
  return new Environment().set("value", value);
}

/** What Python's `str` makes of a value. */
function print(value: RuntimeValue): string {
  return value.type === "StringValue" ? String(value.value) : represent(value);
}

/** What Python's `repr` makes of a value. */
function represent(value: RuntimeValue): string {
  switch (value.type) {
    case "BooleanValue":
      return value.value ? "True" : "False";
    case "NullValue":
      return "None";
    case "UndefinedValue":
      return "Undefined";
    case "StringValue":
      return quote(String(value.value));
    case "ArrayValue":
      return `[${(value.value as RuntimeValue[]).map(represent).join(", ")}]`;
    case "TupleValue": {
      const items = (value.value as RuntimeValue[]).map(represent);
      return items.length === 1 ? `(${items[0]},)` : `(${items.join(", ")})`;
    }
    case "ObjectValue":
      return `{${[...(value.value as Map<string, RuntimeValue>)]
        .map(([key, item]) => `${quote(key)}: ${represent(item)}`)
        .join(", ")}}`;
    default:
      return value.toString();
  }
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function quote(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(/[\\\n\r\t]/g, (char) => ESCAPES[char]);
  return mark + (mark === "'" ? escaped.replaceAll("'", "\\'") : escaped) + mark;
}
