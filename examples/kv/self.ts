/**
 * How this program starts itself again: the launcher's members are processes
 * of the same program, in whichever form it runs.
 *
 * @module
 */
import process from "node:process";

/** A command line without the program's own arguments. */
export interface SelfCommand {
  readonly executable: string;
  /** What precedes the program's own arguments. */
  readonly args: readonly string[];
}

/** Where `bun build --compile` mounts the files inside an executable. */
const EMBEDDED = /^(\/\$bunfs\/|[A-Za-z]:[\\/]~BUN[\\/])/;

/**
 * The command that runs this program: a runtime with the script, or the
 * compiled executable alone.
 */
export function selfCommand(): SelfCommand {
  const script = process.argv[1] ?? "";
  if ("Deno" in globalThis) return denoCommand();
  if (EMBEDDED.test(script)) return { executable: process.execPath, args: [] };
  return {
    executable: process.execPath,
    args: [...process.execArgv, script],
  };
}

/** The arguments meant for the program, in every form. */
export function ownArguments(): readonly string[] {
  return process.argv.slice(2);
}

function denoCommand(): SelfCommand {
  const executable = Deno.execPath();
  if (Deno.build.standalone) return { executable, args: [] };
  // Members open sockets, files and signals: all that the launcher may do.
  return { executable, args: ["run", "-A", Deno.mainModule] };
}
