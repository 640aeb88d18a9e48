/**
 * The KV server as a program to start, in one of its four forms.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";

/** How the server runs: from source, from its bundle, or compiled. */
export type Form = "deno" | "bun" | "node" | "exe";

/** What precedes the server's own arguments on the command line. */
export interface Program {
  readonly executable: string;
  readonly args: readonly string[];
}

const SOURCE = "examples/kv/main.ts";
const BUNDLE = "dist/kv.mjs";
const EXECUTABLE = "dist/kv";
const BUN = ["-y", "bun@1.4.5"] as const;

/** Whether `text` names a form. */
export function isForm(text: string): text is Form {
  return ["deno", "bun", "node", "exe"].includes(text);
}

/**
 * The program in a form, built first if that form is built. For callers that
 * run on Deno, in the root of the repository.
 */
export function buildProgram(form: Form): Program {
  const deno = process.execPath;
  if (form === "deno") return { executable: deno, args: ["run", "-A", SOURCE] };
  run(deno, ["bundle", "--quiet", "--platform=deno", "-o", BUNDLE, SOURCE]);
  if (form === "node") return { executable: "node", args: [BUNDLE] };
  if (form === "bun") {
    // The real one, not npx: killing npx leaves its child alive.
    const bun = run("npx", [...BUN, "-e", "console.log(process.execPath)"]);
    return { executable: bun.trim(), args: [BUNDLE] };
  }
  run("npx", [
    ...BUN,
    ...["build", "--compile", "--minify", BUNDLE, "--outfile", EXECUTABLE],
  ]);
  return { executable: `./${EXECUTABLE}`, args: [] };
}

/**
 * The program on the runtime that runs this code: the source on Deno, the
 * bundle named by `BALSA_KV_ENTRY` elsewhere. `BALSA_KV_EXEC` names another
 * runtime than the one that runs this code.
 *
 * @throws {Error} If there is no bundle to run.
 */
export function ownProgram(): Program {
  const entry = process.env["BALSA_KV_ENTRY"];
  const executable = process.env["BALSA_KV_EXEC"] ?? process.execPath;
  if ("Deno" in globalThis) {
    return { executable, args: ["run", "-A", entry ?? SOURCE] };
  }
  if (entry !== undefined && existsSync(entry)) {
    return { executable, args: [entry] };
  }
  throw new Error(
    `Cannot start the server: BALSA_KV_ENTRY is ${entry}, wanted the path of its bundle`,
  );
}

function run(command: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, [...args], {
    encoding: "utf8",
  });
  if (status === 0) return stdout;
  throw new Error(
    `Cannot build the server: ${command} ended with ${status}: ${
      error?.message ?? stderr
    }`,
  );
}
