/**
 * House rules that the built-in linter does not know, loaded by `deno.json`.
 * `tests/deno_only/tools/lint_plugin_test.ts` feeds each one bad code.
 *
 * @module
 */

const maxFunctionLines = 70;
const maxFileLines = 500;

/** What the protocol core must not know: clocks, chance, I/O, promises. */
const impureNames: ReadonlySet<string> = new Set([
  "AbortController",
  "AbortSignal",
  "Bun",
  "Date",
  "Deno",
  "Promise",
  "clearInterval",
  "clearTimeout",
  "console",
  "crypto",
  "fetch",
  "globalThis",
  "performance",
  "process",
  "queueMicrotask",
  "setImmediate",
  "setInterval",
  "setTimeout",
]);

/** Errors whose message people read, and which argument is the message. */
const messageArgument: ReadonlyMap<string, number> = new Map([
  ["Error", 0],
  ["RaftError", 1],
  ["RangeError", 0],
  ["TypeError", 0],
]);

type FunctionNode =
  | Deno.lint.ArrowFunctionExpression
  | Deno.lint.FunctionDeclaration
  | Deno.lint.FunctionExpression;

/** The rules under the prefix `balsa/`. */
const plugin: Deno.lint.Plugin = {
  name: "balsa",
  rules: {
    "core-purity": { create: corePurity },
    "error-message": { create: errorMessage },
    "max-file-lines": { create: fileLines },
    "max-function-lines": { create: functionLines },
    "no-boolean-argument": { create: noBooleanArgument },
    "no-console-in-library": { create: noConsoleInLibrary },
    "no-top-level-await-in-library": { create: noTopLevelAwaitInLibrary },
    "no-ts-private": { create: noTsPrivate },
  },
};

export default plugin;

function corePurity(context: Deno.lint.RuleContext): Deno.lint.LintVisitor {
  if (!isUnder(context, ["src/core/"])) return {};
  const refuse = (node: Deno.lint.Node, what: string) =>
    context.report({ node, message: `The core is pure: it has no ${what}` });
  const refuseAsync = (node: FunctionNode) => {
    if (node.async) refuse(node, "async functions");
  };
  return {
    Identifier(node) {
      if (impureNames.has(node.name) && !isPropertyName(node)) {
        refuse(node, node.name);
      }
    },
    MemberExpression(node) {
      if (isNamed(node.object, "Math") && isNamed(node.property, "random")) {
        refuse(node, "Math.random");
      }
    },
    AwaitExpression: (node) => refuse(node, "await"),
    ForOfStatement: (node) => {
      if (node.await) refuse(node, "for await");
    },
    ImportExpression: (node) => refuse(node, "dynamic import"),
    ArrowFunctionExpression: refuseAsync,
    FunctionDeclaration: refuseAsync,
    FunctionExpression: refuseAsync,
  };
}

/** Tests are left alone: their errors are made up and nobody reads them. */
function errorMessage(context: Deno.lint.RuleContext): Deno.lint.LintVisitor {
  if (isUnder(context, ["tests/"])) return {};
  return {
    NewExpression(node) {
      if (node.callee.type !== "Identifier") return;
      const position = messageArgument.get(node.callee.name);
      const argument = position === undefined
        ? undefined
        : node.arguments[position];
      if (argument === undefined) return;
      const { start, end } = textEdges(argument);
      if (start !== undefined && /^[a-z]/.test(start)) {
        const message = "An error message starts in upper case";
        context.report({ node: argument, message });
      }
      if (end !== undefined && end.endsWith(".")) {
        const message = "An error message ends without a period";
        context.report({ node: argument, message });
      }
    },
  };
}

function fileLines(context: Deno.lint.RuleContext): Deno.lint.LintVisitor {
  return {
    Program(node) {
      const lines = countLines(context.sourceCode.text.trimEnd());
      if (lines <= maxFileLines) return;
      context.report({
        node,
        message: `The file has ${lines} lines, at most ${maxFileLines} are ` +
          "allowed: split it",
      });
    },
  };
}

function functionLines(context: Deno.lint.RuleContext): Deno.lint.LintVisitor {
  if (!isUnder(context, ["src/", "storage/", "transports/"])) return {};
  const check = (node: FunctionNode) => {
    const lines = countLines(context.sourceCode.getText(node));
    if (lines <= maxFunctionLines) return;
    context.report({
      node,
      message: `The function has ${lines} lines, at most ` +
        `${maxFunctionLines} are allowed: split it`,
    });
  };
  return {
    ArrowFunctionExpression: check,
    FunctionDeclaration: check,
    FunctionExpression: check,
  };
}

/**
 * `no-boolean-literal-for-arguments`, but only for functions of our own: how
 * `setNoDelay(true)` is called is the platform's affair.
 */
function noBooleanArgument(
  context: Deno.lint.RuleContext,
): Deno.lint.LintVisitor {
  if (!isLibrary(context)) return {};
  return {
    CallExpression(node) {
      const { callee } = node;
      const isOurs = callee.type === "Identifier" ||
        callee.type === "MemberExpression" &&
          callee.object.type === "ThisExpression";
      if (!isOurs) return;
      for (const argument of node.arguments) {
        if (argument.type !== "Literal") continue;
        if (typeof argument.value !== "boolean") continue;
        const message = "A bare boolean does not say what it means: name it";
        context.report({ node: argument, message });
      }
    },
  };
}

/** `no-console`, but only where the library's users would see it. */
function noConsoleInLibrary(
  context: Deno.lint.RuleContext,
): Deno.lint.LintVisitor {
  if (!isLibrary(context)) return {};
  return {
    Identifier(node) {
      if (node.name !== "console" || isPropertyName(node)) return;
      const message = "The library reports by events, never on the console";
      context.report({ node, message });
    },
  };
}

/** `no-top-level-await`, but only where it would delay an importer. */
function noTopLevelAwaitInLibrary(
  context: Deno.lint.RuleContext,
): Deno.lint.LintVisitor {
  if (!isLibrary(context)) return {};
  const check = (node: Deno.lint.Node) => {
    const inFunction = context.sourceCode.getAncestors(node).some((ancestor) =>
      ancestor.type === "ArrowFunctionExpression" ||
      ancestor.type === "FunctionDeclaration" ||
      ancestor.type === "FunctionExpression"
    );
    if (inFunction) return;
    const message = "A module of the library loads without waiting";
    context.report({ node, message });
  };
  return {
    AwaitExpression: check,
    ForOfStatement: (node) => {
      if (node.await) check(node);
    },
  };
}

function noTsPrivate(context: Deno.lint.RuleContext): Deno.lint.LintVisitor {
  const check = (
    node: Deno.lint.MethodDefinition | Deno.lint.PropertyDefinition,
  ) => {
    if (node.accessibility !== "private") return;
    // JavaScript has no other way to say who may construct.
    if (node.type === "MethodDefinition" && node.kind === "constructor") return;
    const message = "Hide members with #, not with the keyword private";
    context.report({ node, message });
  };
  return { MethodDefinition: check, PropertyDefinition: check };
}

function isUnder(
  context: Deno.lint.RuleContext,
  folders: readonly string[],
): boolean {
  const path = relativePath(context.filename);
  return folders.some((folder) => path.startsWith(folder));
}

function isLibrary(context: Deno.lint.RuleContext): boolean {
  return relativePath(context.filename) === "mod.ts" ||
    isUnder(context, ["src/", "storage/", "transports/"]);
}

/** The path below the project's root, which is two folders above this file. */
function relativePath(filename: string): string {
  const root = new URL("../../", import.meta.url).pathname;
  const path = filename.replaceAll("\\", "/");
  return path.startsWith(root) ? path.slice(root.length) : path;
}

function countLines(text: string): number {
  return text.split("\n").length;
}

function isNamed(node: Deno.lint.Node, name: string): boolean {
  return node.type === "Identifier" && node.name === name;
}

/** Whether the identifier only names a member of something else. */
function isPropertyName(node: Deno.lint.Identifier): boolean {
  const parent: Deno.lint.Node = node.parent;
  switch (parent.type) {
    case "MemberExpression":
      return isSame(parent.property, node) && !parent.computed;
    case "Property":
      return isSame(parent.key, node) && !parent.computed && !parent.shorthand;
    case "MethodDefinition":
    case "PropertyDefinition":
    case "TSPropertySignature":
    case "TSMethodSignature":
      return isSame(parent.key, node) && !parent.computed;
    default:
      return false;
  }
}

/** Nodes are made anew on each access, so identity is by place. */
function isSame(a: Deno.lint.Node, b: Deno.lint.Node): boolean {
  return a.range[0] === b.range[0] && a.range[1] === b.range[1];
}

interface TextEdges {
  /** Text the message begins with, if it is written down. */
  readonly start: string | undefined;
  /** Text the message ends with, if it is written down. */
  readonly end: string | undefined;
}

function textEdges(node: Deno.lint.Node): TextEdges {
  if (node.type === "Literal" && typeof node.value === "string") {
    return { start: node.value, end: node.value };
  }
  if (node.type === "TemplateLiteral") {
    return {
      start: node.quasis.at(0)?.cooked,
      end: node.quasis.at(-1)?.cooked,
    };
  }
  if (node.type === "BinaryExpression" && node.operator === "+") {
    return {
      start: textEdges(node.left).start,
      end: textEdges(node.right).end,
    };
  }
  return { start: undefined, end: undefined };
}
