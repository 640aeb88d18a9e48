/**
 * The module graph of the whole project, as `deno info --json` tells it.
 *
 * @module
 */

const codeFolders = [
  "bench",
  "examples",
  "src",
  "storage",
  "tests",
  "transports",
];
const textFolders = [...codeFolders, "docs", "testing", ".ci"];

/** One import of one module by another. */
export interface Import {
  /** The importing file, below the project's root. */
  readonly from: string;
  /** A file below the root, or a specifier such as `npm:zod` or `node:fs`. */
  readonly to: string;
  /** As it is written in the source. */
  readonly specifier: string;
  /** Whether `to` is a file of the project. */
  readonly isLocal: boolean;
  /** Whether nothing of it is left when the program runs. */
  readonly isTypeOnly: boolean;
}

/** All files of the project and their imports. */
export interface ModuleGraph {
  readonly files: readonly string[];
  readonly imports: readonly Import[];
  /** Modules that do not load, with the reason. */
  readonly errors: readonly string[];
}

/** A text that belongs to the project. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

interface InfoDependency {
  readonly specifier: string;
  readonly code?: { readonly specifier?: string };
  readonly type?: { readonly specifier?: string };
}

interface InfoModule {
  readonly specifier: string;
  readonly error?: string;
  readonly dependencies?: readonly InfoDependency[];
}

interface Info {
  readonly modules: readonly InfoModule[];
}

/** The room of the house a file stands in: `core`, `storage/wal`, `root`. */
export function roomOf(path: string): string {
  const parts = path.split("/");
  const [first = "", second = ""] = parts;
  if (parts.length === 1) return "root";
  if (first === "testing") return "testing_tools";
  if (first === "storage" || first === "transports") {
    return `${first}/${second.replace(/\.ts$/, "")}`;
  }
  if (first !== "src") return first;
  return parts.length === 2 ? "contracts" : second;
}

/** Reads the graph of every TypeScript file by one call of the compiler. */
export async function readModuleGraph(): Promise<ModuleGraph> {
  const root = new URL("../../", import.meta.url).href;
  const files = ["mod.ts"];
  for (const folder of codeFolders) {
    for await (const path of walk(folder)) {
      if (path.endsWith(".ts")) files.push(path);
    }
  }
  const folder = await Deno.makeTempDir({ prefix: "balsa-graph-" });
  try {
    const entry = `${folder}/all.ts`;
    const lines = files.map((path) => `import "${root}${path}";\n`);
    await Deno.writeTextFile(entry, lines.join(""));
    return toGraph(await readInfo(entry), root, files.sort());
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Reads everything that people read: code, documents, configuration. */
export async function readSources(): Promise<readonly SourceFile[]> {
  const paths: string[] = [];
  for await (const entry of Deno.readDir(".")) {
    if (entry.isFile && /\.(?:ts|md|json)$/.test(entry.name)) {
      paths.push(entry.name);
    }
  }
  for (const folder of textFolders) {
    for await (const path of walk(folder)) {
      if (/\.(?:ts|md|json|sh)$|\/run$/.test(path)) paths.push(path);
    }
  }
  return await Promise.all(
    paths.sort().map(async (path) => ({
      path,
      text: await Deno.readTextFile(path),
    })),
  );
}

async function* walk(folder: string): AsyncIterable<string> {
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* walk(path);
    else yield path;
  }
}

async function readInfo(entry: string): Promise<Info> {
  // With the offline configuration @std/assert resolves on any network.
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--config", "deno.offline.json", entry],
    stdin: "null",
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout));
}

function toGraph(
  info: Info,
  root: string,
  files: readonly string[],
): ModuleGraph {
  const imports: Import[] = [];
  const errors: string[] = [];
  for (const module of info.modules) {
    if (!module.specifier.startsWith(root)) continue;
    const from = module.specifier.slice(root.length);
    if (module.error !== undefined) errors.push(`${from}: ${module.error}`);
    for (const dependency of module.dependencies ?? []) {
      const target = dependency.code ?? dependency.type;
      if (target?.specifier === undefined) {
        errors.push(`${from}: cannot resolve ${dependency.specifier}`);
        continue;
      }
      const isLocal = target.specifier.startsWith(root);
      imports.push({
        from,
        to: isLocal
          ? target.specifier.slice(root.length)
          : target.specifier.replace(/^npm:\//, "npm:"),
        specifier: dependency.specifier,
        isLocal,
        isTypeOnly: dependency.code === undefined,
      });
    }
  }
  return { files, imports, errors };
}
