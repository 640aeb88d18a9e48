/**
 * Finds and reads the files of a kit.
 *
 * @module
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { parseScenarioFile, parseTableFile } from "./kit_schema.ts";
import type { ScenarioFile, TableFile } from "./kit_types.ts";
import { parseTxt, type TxtCase } from "./txt.ts";

/** A folder that is none, or a file in it that is no kit file. */
export class KitError extends Error {
  /** Makes the error from what is wrong. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "KitError";
  }
}

/** A file of a kit. */
export type KitFile =
  & {
    /** Path below the kit's folder, with slashes. */
    readonly path: string;
  }
  & (
    | { readonly type: "quorum"; readonly cases: readonly TxtCase[] }
    | { readonly type: "confchange"; readonly cases: readonly TxtCase[] }
    | { readonly type: "scenarios"; readonly file: ScenarioFile }
    | { readonly type: "tables"; readonly file: TableFile }
  );

/** Commands of a txt file tell what it is about. */
const TXT_TYPES: Readonly<Record<string, "quorum" | "confchange">> = {
  committed: "quorum",
  vote: "quorum",
  simple: "confchange",
  "enter-joint": "confchange",
  "leave-joint": "confchange",
};

/**
 * Reads every txt, scenario and table file below a folder, ordered by path.
 * What describes the kit itself (its index, its schema) is passed over.
 *
 * @throws {KitError} If the folder is none or holds no such file, or if one
 * cannot be read.
 */
export async function readKit(folder: string): Promise<KitFile[]> {
  const info = await stat(folder).catch(() => undefined);
  if (info?.isDirectory() !== true) {
    throw new KitError(`Cannot read the kit: there is no folder "${folder}"`);
  }
  const files: KitFile[] = [];
  for (const path of (await listFiles(folder, "")).sort()) {
    const text = await readFile(join(folder, path), "utf8");
    try {
      const file = parseFile(path, text);
      if (file !== undefined) files.push(file);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new KitError(`Cannot read ${path}: ${reason}`, { cause });
    }
  }
  if (files.length === 0) {
    throw new KitError(`Cannot read the kit: "${folder}" holds no kit files`);
  }
  return files;
}

async function listFiles(folder: string, below: string): Promise<string[]> {
  const found: string[] = [];
  const entries = await readdir(join(folder, below), { withFileTypes: true });
  for (const entry of entries) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) found.push(...await listFiles(folder, path));
    else if (/\.(txt|json)$/.test(entry.name)) found.push(path);
  }
  return found;
}

function parseFile(path: string, text: string): KitFile | undefined {
  if (path.endsWith(".txt")) return parseTxtFile(path, text);
  const value: unknown = JSON.parse(text);
  switch (formatOf(value)) {
    case "raft-conformance/1":
      return { path, type: "scenarios", file: parseScenarioFile(value) };
    case "raft-tables/1":
      return { path, type: "tables", file: parseTableFile(value) };
    case "raft-index/1":
    case "schema":
      return undefined;
    case undefined:
      throw new TypeError(`it does not name one of the kit's formats`);
  }
}

type Format =
  | "raft-conformance/1"
  | "raft-tables/1"
  | "raft-index/1"
  | "schema";

function formatOf(value: unknown): Format | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if ("$schema" in value && !("format" in value)) return "schema";
  const format = "format" in value ? value.format : undefined;
  switch (format) {
    case "raft-conformance/1":
    case "raft-tables/1":
    case "raft-index/1":
      return format;
    default:
      return undefined;
  }
}

function parseTxtFile(path: string, text: string): KitFile {
  const cases = parseTxt(text);
  const types = new Set(cases.map(({ command, line }) => {
    const type = TXT_TYPES[command];
    if (type !== undefined) return type;
    throw new TypeError(`line ${line}: there is no command "${command}"`);
  }));
  const [type, another] = types;
  if (type === undefined) throw new TypeError("it holds no case");
  if (another !== undefined) {
    throw new TypeError(`its cases are of two kinds, ${type} and ${another}`);
  }
  return { path, type, cases };
}
