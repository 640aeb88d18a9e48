/**
 * The command line: `deno task balsa -- COMMAND …`, and the same with `node`
 * or `bun`.
 *
 * @module
 */
import process from "node:process";
import type { ToolIo } from "./cli/io.ts";
import { run } from "./cli/run.ts";

// A reader that went away, as in `balsa dump … | head`, ends the program.
process.stdout.on("error", () => process.exit(0));

const io: ToolIo = {
  out: (line) =>
    new Promise((resolve) => {
      process.stdout.write(`${line}\n`, () => resolve());
    }),
  err: (line) => {
    process.stderr.write(`${line}\n`);
  },
  bar: process.stderr.isTTY
    ? (text) => void process.stderr.write(`\r\x1b[K${text}`)
    : undefined,
};

// A task of Deno hands the separator on.
const args = process.argv.slice(2);
run(args[0] === "--" ? args.slice(1) : args, io).then(
  (code) => process.exit(code),
);
