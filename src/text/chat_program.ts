import { type Node, parse, tokenize } from "./jinja.ts";

/** Longest chat template that is read, in characters; the longest published ones have some 20,000. */
const MAX_TEMPLATE = 2 ** 20;

/** How the value of a node is used, where Python takes it differently from the library. */
export type Role =
  /** Written into the text. */
  | "printed"
  /** Looped over. */
  | "iterated"
  /** Filtered by `selectattr`. */
  | "selected"
  /** Filtered by something that takes any sequence. */
  | "listed"
  /** Filtered by something that takes text, or joined to other text by a tilde. */
  | "text"
  /** Before, after a plus sign. */
  | "left"
  | "right"
  /** Asked for an attribute or an item. */
  | "object";

/** Characters that stand in the text around what a `generation` block wrote. */
export interface Marks {
  readonly start: string;
  readonly end: string;
}

/** A chat template, parsed. */
export interface ChatProgram {
  readonly program: Node;
  readonly roles: ReadonlyMap<Node, Role>;
  /** The variables that the template reads and does not set itself. */
  readonly variables: ReadonlySet<string>;
  /** All text that stands in the template, literally; parts are set apart by NUL. */
  readonly literals: string;
  readonly marks: Marks;
  readonly hasGeneration: boolean;
}

// A tag, with the indentation that it takes away and the line end that it takes along.
const GENERATION = /(^[ \t]*)?\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}(\n)?/gm;

/**
 * Parses a chat template. `{% generation %}`, Transformers' own tag, becomes text of `marks`.
 *
 * @throws Error where it is no template of the kind that the library reads
 */
export function parseChatTemplate(template: string, marks: Marks): ChatProgram {
  if (template.length > MAX_TEMPLATE) throw new Error(`it has more than ${MAX_TEMPLATE} characters`);
  let hasGeneration = false;
  const source = template.replace(GENERATION, (...match) => {
    hasGeneration = true;
    const [, indent, left, end, right, newline] = match as (string | undefined)[];
    const before = left === "+" ? (indent ?? "") : "";
    const after = right === "+" ? (newline ?? "") : "";
    const mark = JSON.stringify(end === undefined ? marks.start : marks.end);
    return `${before}{{${left === "-" ? "-" : ""} ${mark} ${right === "-" ? "-" : ""}}}${after}`;
  });
  const program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
  const literals: string[] = [];
  for (const node of nodesOf(program)) if (node.type === "StringLiteral") literals.push(String(node.value));
  return {
    program,
    roles: rolesOf(program),
    variables: freeVariables(program),
    literals: literals.join("\0"),
    marks,
    hasGeneration,
  };
}

type AnyNode = Node & Readonly<Record<string, unknown>>;

function isNode(value: unknown): value is AnyNode {
  return typeof value === "object" && value !== null && typeof (value as Node).type === "string";
}

function childrenOf(node: AnyNode): AnyNode[] {
  // The operator of an expression is a token, not a node.
  return Object.entries(node).flatMap(([key, value]) => (key === "operator" ? [] : nodesIn(value)));
}

function nodesIn(value: unknown): AnyNode[] {
  if (Array.isArray(value)) return value.flatMap(nodesIn);
  if (value instanceof Map) return [...value].flat().flatMap(nodesIn);
  return isNode(value) ? [value] : [];
}

function* nodesOf(root: Node): Generator<AnyNode> {
  const node = root as AnyNode;
  yield node;
  for (const child of childrenOf(node)) yield* nodesOf(child);
}

const STATEMENTS = [
  "If",
  "For",
  "Set",
  "Macro",
  "CallStatement",
  "FilterStatement",
  "Break",
  "Continue",
  "Comment",
];
const BODIES = ["body", "alternate", "defaultBlock"];
const FILTER_ROLES: Readonly<Record<string, Role>> = {
  selectattr: "selected",
  ...Object.fromEntries(
    ["rejectattr", "map", "list", "join", "length", "count", "sort", "unique"].map((name) => [
      name,
      "listed",
    ]),
  ),
  ...Object.fromEntries(
    ["trim", "upper", "lower", "title", "capitalize", "replace", "indent", "string"].map((name) => [
      name,
      "text",
    ]),
  ),
};

function rolesOf(program: Node): Map<Node, Role> {
  const roles = new Map<Node, Role>();
  for (const node of nodesOf(program)) {
    for (const key of BODIES) {
      for (const item of nodesIn(node[key] ?? []))
        if (!STATEMENTS.includes(item.type)) roles.set(item, "printed");
    }
    if (node.type === "For") {
      const iterable = node.iterable as AnyNode;
      roles.set(iterable.type === "SelectExpression" ? (iterable.lhs as AnyNode) : iterable, "iterated");
    }
    const operator = node.type === "BinaryExpression" && (node.operator as { value?: unknown }).value;
    if (operator === "+" || operator === "~") {
      roles.set(node.left as AnyNode, operator === "~" ? "text" : "left");
      roles.set(node.right as AnyNode, operator === "~" ? "text" : "right");
    }
    if (node.type === "MemberExpression") roles.set(node.object as AnyNode, "object");
    if (node.type === "FilterExpression") {
      const role = FILTER_ROLES[nameOf(node.filter as AnyNode)];
      if (role !== undefined) roles.set(node.operand as AnyNode, role);
    }
  }
  return roles;
}

/** The name of an identifier, or of what is called. */
function nameOf(node: AnyNode): string {
  return String(node.type === "CallExpression" ? (node.callee as AnyNode).value : node.value);
}

/** What is read before it is set, as `jinja2.meta.find_undeclared_variables` finds it. */
function freeVariables(program: Node): Set<string> {
  const free = new Set<string>();

  const visitAll = (values: unknown, scope: Set<string>): void => {
    for (const node of nodesIn(values ?? [])) visit(node, scope);
  };
  const declare = (target: AnyNode, scope: Set<string>): void => {
    if (target.type === "Identifier") scope.add(String(target.value));
    else if (target.type === "TupleLiteral") for (const item of nodesIn(target.value)) declare(item, scope);
    else visit(target, scope);
  };
  const inner = (parameters: unknown, body: unknown, scope: Set<string>, names: string[]): void => {
    const own = new Set([...scope, ...names]);
    for (const parameter of nodesIn(parameters ?? [])) {
      if (parameter.type === "Identifier") own.add(String(parameter.value));
      else {
        own.add(String((parameter.key as AnyNode).value));
        visitAll(parameter.value, scope);
      }
    }
    visitAll(body, own);
  };

  const visit = (node: AnyNode, scope: Set<string>): void => {
    switch (node.type) {
      case "Identifier":
        if (!scope.has(String(node.value))) free.add(String(node.value));
        return;
      case "MemberExpression":
        visitAll(node.object, scope);
        if (node.computed) visitAll(node.property, scope);
        return;
      case "FilterExpression":
      case "FilterStatement":
        visitAll(node.operand ?? node.body, scope);
        visitAll((node.filter as AnyNode).args, scope);
        return;
      case "TestExpression":
        visitAll(node.operand, scope);
        return;
      case "KeywordArgumentExpression":
        visitAll(node.value, scope);
        return;
      case "Set":
        visitAll([node.value, node.body], scope);
        declare(node.assignee as AnyNode, scope);
        return;
      case "For": {
        const iterable = node.iterable as AnyNode;
        const selects = iterable.type === "SelectExpression";
        visitAll(selects ? iterable.lhs : iterable, scope);
        const own = new Set([...scope, "loop"]);
        declare(node.loopvar as AnyNode, own);
        visitAll([selects ? iterable.test : [], node.body], own);
        visitAll(node.defaultBlock, scope);
        return;
      }
      case "If": {
        visitAll(node.test, scope);
        const [first, second] = [new Set(scope), new Set(scope)];
        visitAll(node.body, first);
        visitAll(node.alternate, second);
        for (const name of first) if (second.has(name)) scope.add(name);
        return;
      }
      case "Macro":
        scope.add(String((node.name as AnyNode).value));
        inner(node.args, node.body, scope, ["caller", "varargs", "kwargs"]);
        return;
      case "CallStatement":
        visitAll(node.call, scope);
        inner(node.callerArgs, node.body, scope, []);
        return;
      default:
        for (const child of childrenOf(node)) visit(child, scope);
    }
  };

  // Names that stand for something in every template.
  const known = ["range", "namespace", "raise_exception", "strftime_now", "dict", "true", "false", "none"];
  visit(program as AnyNode, new Set([...known, "True", "False", "None"]));
  return free;
}
