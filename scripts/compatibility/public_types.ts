import ts from "typescript";

/** What can be called: the names of what it takes, by position or in an options object. */
export interface Callable {
  /** Names of parameters, and of the properties of those that are objects. */
  names: ReadonlySet<string>;
  /** Parameters by position, at most. */
  positions: number;
}

/** One export as callers see it. */
export interface PublicName {
  /** Properties and methods of instances and of the class itself. */
  members: ReadonlySet<string>;
  /** What can be called, by name; the constructor is `constructor`, a function itself and an instance are `__call__`. */
  calls: ReadonlyMap<string, Callable>;
}

/** The exports of a TypeScript file, by name: what a caller's compiler knows of them. */
export function publicTypes(entry: string, options: ts.CompilerOptions): Map<string, PublicName> {
  const program = ts.createProgram([entry], options);
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(entry);
  const module = source && checker.getSymbolAtLocation(source);
  if (!source || !module) throw new Error(`${entry} is no module`);
  const names = new Map<string, PublicName>();
  for (const exported of checker.getExportsOfModule(module)) {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    if (symbol.flags & ts.SymbolFlags.Value) names.set(exported.name, describe(checker, symbol, source));
  }
  return names;
}

function describe(checker: ts.TypeChecker, symbol: ts.Symbol, at: ts.Node): PublicName {
  const itself = checker.getTypeOfSymbolAtLocation(symbol, at);
  const constructors = itself.getConstructSignatures();
  const types = [itself, ...instanceTypes(checker, symbol, constructors)];
  const members = new Set<string>();
  const calls = new Map<string, Callable>();
  if (constructors.length > 0) calls.set("constructor", takenBy(checker, constructors, at));
  for (const type of types) {
    const signatures = type.getCallSignatures();
    if (signatures.length > 0) calls.set("__call__", takenBy(checker, signatures, at));
    for (const property of type.getProperties()) {
      if (isHidden(property)) continue;
      members.add(property.name);
      const methods = checker.getTypeOfSymbolAtLocation(property, at).getCallSignatures();
      if (methods.length > 0 && !calls.has(property.name))
        calls.set(property.name, takenBy(checker, methods, at));
    }
  }
  return { members, calls };
}

function instanceTypes(
  checker: ts.TypeChecker,
  symbol: ts.Symbol,
  constructors: readonly ts.Signature[],
): ts.Type[] {
  if (symbol.flags & ts.SymbolFlags.Class) return [checker.getDeclaredTypeOfSymbol(symbol)];
  return constructors.map((signature) => signature.getReturnType());
}

function isHidden(symbol: ts.Symbol): boolean {
  return (symbol.declarations ?? []).some(
    (declaration) =>
      ts.getCombinedModifierFlags(declaration) & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected),
  );
}

function takenBy(checker: ts.TypeChecker, signatures: readonly ts.Signature[], at: ts.Node): Callable {
  const names = new Set<string>();
  let positions = 0;
  for (const { parameters } of signatures) {
    positions = Math.max(positions, parameters.length);
    for (const parameter of parameters) {
      names.add(parameter.name);
      const type = checker.getTypeOfSymbolAtLocation(parameter, at);
      for (const part of partsOf(checker, type))
        for (const property of part.getProperties()) names.add(property.name);
    }
  }
  return { names, positions };
}

/** The plain objects among what a parameter may be. */
function partsOf(checker: ts.TypeChecker, type: ts.Type): ts.Type[] {
  const whole = checker.getNonNullableType(checker.getBaseConstraintOfType(type) ?? type);
  const parts = whole.isUnion() ? whole.types : [whole];
  return parts.filter(
    (part) =>
      (part.flags & (ts.TypeFlags.Object | ts.TypeFlags.Intersection)) !== 0 &&
      !checker.isArrayLikeType(part) &&
      !part.isClass(),
  );
}
