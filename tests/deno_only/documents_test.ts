import { describe, it } from "node:test";
import { assert, assertEquals, assertExists } from "@std/assert";

interface Config {
  readonly [key: string]: unknown;
}

async function readConfig(path: string): Promise<Config> {
  return JSON.parse(await Deno.readTextFile(path));
}

/** Links of a Markdown text that point below the project's root. */
function localLinks(text: string): string[] {
  return [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
    .map((match) => match[1] ?? "");
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

describe("README.md", () => {
  it("shows examples/counter.ts word for word", async () => {
    const readme = await Deno.readTextFile("README.md");
    const block = /```ts\n(?<code>.*?)```/s.exec(readme)?.groups?.["code"];
    assertExists(block);
    assertEquals(block, await Deno.readTextFile("examples/counter.ts"));
  });

  it("keeps the promise of thirty lines", async () => {
    const text = await Deno.readTextFile("examples/counter.ts");
    const lines = text.trimEnd().split("\n").length;
    assert(lines <= 30, `examples/counter.ts has ${lines} lines`);
  });

  it("names every export and no other", async () => {
    const readme = await Deno.readTextFile("README.md");
    const named = [...readme.matchAll(/^\| `(@balsa\/raft[^`]*)`/gm)]
      .map((match) => match[1] ?? "");
    const { exports } = await readConfig("deno.json");
    const wanted = Object.keys(exports ?? {})
      .map((path) => path.replace(".", "@balsa/raft"));
    assertEquals(named.sort(), wanted.sort());
  });

  it("names only tasks that exist", async () => {
    const { tasks } = await readConfig("deno.json");
    const texts = await Promise.all(
      ["README.md", "docs/architecture.md", "docs/decisions.md"]
        .map((path) => Deno.readTextFile(path)),
    );
    const named = texts.flatMap((text) =>
      [...text.matchAll(/deno(?:@[\d.]+)? task ([\w:]+)/g)]
        .map((match) => match[1] ?? "")
    );
    assert(named.length > 0);
    const unknown = named.filter((name) => !(name in Object(tasks)));
    assertEquals(unknown, []);
  });
});

describe("the documents", () => {
  it("link only to files that exist", async () => {
    const broken: string[] = [];
    for (const path of ["README.md", "CHANGELOG.md"]) {
      for (const link of localLinks(await Deno.readTextFile(path))) {
        if (!await exists(link)) broken.push(`${path}: ${link}`);
      }
    }
    for await (const { name } of Deno.readDir("docs")) {
      if (!name.endsWith(".md")) continue;
      for (const link of localLinks(await Deno.readTextFile(`docs/${name}`))) {
        if (!await exists(`docs/${link}`)) broken.push(`docs/${name}: ${link}`);
      }
    }
    assertEquals(broken, []);
  });
});

describe("deno.offline.json", () => {
  it("differs from deno.json in the links alone", async () => {
    const [online, offline] = await Promise.all([
      readConfig("deno.json"),
      readConfig("deno.offline.json"),
    ]);
    const { tasks: _tasks, lint: _lint, publish: _publish, ...shared } = online;
    const { links, lock, ...rest } = offline;
    assertEquals(rest, shared);
    assertEquals(links, ["./testing/std_assert"]);
    assertEquals(lock, "./deno.offline.lock");
  });
});
