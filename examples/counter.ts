// A replicated counter: three members, of which any two carry on.
import { type Applied, startNode, type StateMachine } from "@balsa/raft";
import { MemoryStorage } from "@balsa/raft/storage/memory";
import { MemoryNetwork } from "@balsa/raft/transports/memory";
import * as z from "zod";
class Counter implements StateMachine<number, number, null, number> {
  readonly command = z.int();
  #total = 0;
  apply = (entries: readonly Applied<number>[]) =>
    entries.map(({ command }) => this.#total += command);
  query = () => this.#total;
  snapshot() {
    const total = new Blob([`${this.#total}`]);
    return { chunks: () => total.stream() };
  }
  async restore(chunks: AsyncIterable<Uint8Array<ArrayBuffer>>) {
    const text = await new Response(ReadableStream.from(chunks)).text();
    this.#total = Number(text);
  }
}
const network = new MemoryNetwork();
const members = [1, 2, 3].map((id) => ({ id, address: `host-${id}:1` }));
const nodes = await Promise.all(members.map(({ id: node, address }) => {
  const [storage, transport] = [new MemoryStorage(), network.transport()];
  const own = { deployment: "counter", address, machine: new Counter() };
  return startNode({ ...own, storage, transport, group: 1, node, members });
}));
await Promise.all(nodes.map((node) => node.propose(14)));
console.log(await nodes[0]?.read(null)); // 42, through whichever is asked
await Promise.all(nodes.map((node) => node.stop()));
