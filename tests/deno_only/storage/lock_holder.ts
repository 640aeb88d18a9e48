/** Opens the log in a directory, says so, and holds it until it is killed. */
import process from "node:process";
import { WalStorage } from "../../../storage/wal/mod.ts";

const [directory = "", ...words] = process.argv.slice(2);
const storage = new WalStorage({ directory, segmentBytes: 4096 });
try {
  await storage.open({ deployment: "suite" });
  if (words.includes("write")) {
    const conf = {
      version: 0,
      voters: [1],
      votersOutgoing: [],
      learners: [],
      learnersNext: [],
      staging: [],
      witnesses: [],
      autoLeave: false,
      removed: [],
      addresses: [],
      incarnations: [],
    };
    const create = { node: 1, snapshot: { index: 0, term: 0, conf } };
    const entry = { type: "noop", term: 1, index: 1 } as const;
    await storage.write([{ group: 1, create, entries: [entry] }]);
  }
  process.stdout.write(`open ${process.pid}\n`);
  setInterval(() => {}, 1000);
} catch (error) {
  process.stdout.write(`${error}\n`);
}
