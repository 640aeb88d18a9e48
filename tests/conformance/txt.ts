/**
 * The txt layout of the kit (section 1 of `kit/README.md`): directives with
 * input, four dashes, and the output that must follow.
 *
 * @module
 */

/** One case of a txt file. */
export interface TxtCase {
  /** Line of the directive, from 1. */
  readonly line: number;
  readonly command: string;
  readonly args: readonly TxtArgument[];
  readonly input: string;
  /** Each line ends in a newline. */
  readonly expected: string;
}

/** `name`, `name=value` or `name=(value,value)`. */
export interface TxtArgument {
  readonly name: string;
  readonly values: readonly string[];
}

/** Reads a txt file. @throws {TypeError} If it does not have the layout. */
export function parseTxt(text: string): TxtCase[] {
  const lines = text.split("\n");
  const cases: TxtCase[] = [];
  let at = 0;
  while (at < lines.length) {
    if (!isDirective(lines[at] ?? "")) {
      at++;
      continue;
    }
    const dashes = lines.indexOf("----", at);
    if (dashes < 0) {
      throw new TypeError(`line ${at + 1}: no "----" follows the directive`);
    }
    let end = dashes + 1;
    while (end < lines.length && lines[end] !== "") end++;
    cases.push({
      line: at + 1,
      ...parseDirective(lines[at] ?? "", at + 1),
      input: lines.slice(at + 1, dashes).join("\n"),
      expected: lines.slice(dashes + 1, end).map((line) => `${line}\n`).join(
        "",
      ),
    });
    at = end;
  }
  return cases;
}

function isDirective(line: string): boolean {
  return line.trim() !== "" && !line.startsWith("#");
}

/** An argument: a name, then a list in parentheses or a plain value, or none. */
const ARGUMENT = /\s+([^\s=()]+)(?:=(?:\(([^()]*)\)|([^\s()]+)))?/y;

function parseDirective(
  directive: string,
  line: number,
): Pick<TxtCase, "command" | "args"> {
  const text = directive.trim();
  const command = text.split(/\s/, 1)[0] ?? "";
  const args: TxtArgument[] = [];
  ARGUMENT.lastIndex = command.length;
  while (ARGUMENT.lastIndex < text.length) {
    const from = ARGUMENT.lastIndex;
    const [, name, list, value] = ARGUMENT.exec(text) ?? [];
    if (name === undefined) {
      throw new TypeError(`line ${line}: cannot read "${text.slice(from)}"`);
    }
    args.push({ name, values: valuesOf(list, value) });
  }
  return { command, args };
}

function valuesOf(list?: string, value?: string): string[] {
  if (list !== undefined) return list.split(",").map((each) => each.trim());
  return value === undefined ? [] : [value];
}

/** What is wrong with a case whose output is another. */
export function describeTxtDifference(
  { line, command, expected }: TxtCase,
  found: string,
): string | undefined {
  if (found === expected) return undefined;
  const texts = [expected, found].map((text) => JSON.stringify(text));
  return `line ${line} (${command}), output: expected ${texts[0]}, found ${
    texts[1]
  }`;
}
