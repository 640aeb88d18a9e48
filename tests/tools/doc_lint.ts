/**
 * Runs `deno doc --lint` on every export of `deno.json`, so that a new export
 * cannot be forgotten.
 *
 * @module
 */

interface Manifest {
  readonly exports: Readonly<Record<string, string>>;
}

const manifest: Manifest = JSON.parse(await Deno.readTextFile("deno.json"));
const entries = Object.values(manifest.exports);
const { code } = await new Deno.Command(Deno.execPath(), {
  args: ["doc", "--lint", ...entries],
  stdin: "null",
  stdout: "null",
}).output().then((output) => {
  Deno.stderr.writeSync(output.stderr);
  return output;
});
if (code === 0) console.log(`${entries.length} exports documented`);
Deno.exit(code);
