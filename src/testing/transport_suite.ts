/**
 * The contract of transports as cases for any test runner.
 *
 * @module
 */
import { isSame } from "./is_same.ts";
import { check, eventually, Host, rejects } from "./transport_host.ts";
import { sampleFrames } from "./transport_samples.ts";
import { TransportSnapshotCases } from "./transport_snapshot_cases.ts";
import type { Entry } from "../core/types.ts";
import type { Envelope, Transport } from "../transport.ts";

/** How a case wants its transport. */
export interface TransportSetup {
  /** Protocol versions to speak, if not all. */
  readonly protocol?: { readonly min: number; readonly max: number };
}

/** A peer made of bytes: it shakes hands properly, then says anything. */
export interface RawPeer {
  /** Whom to connect to. */
  readonly target: string;
  /** The address it claims. */
  readonly from: string;
  /** The deployment it claims. */
  readonly deployment: string;
  /** What it sends once it was accepted. */
  readonly bytes: Uint8Array;
}

/** What the cases need to know of a transport. */
export interface TransportSuiteOptions {
  /** A new transport on a network shared with all others of the suite. */
  create(setup: TransportSetup): Transport;
  /** An address that nobody uses and `start` can listen on. */
  freeAddress(): Promise<string>;
  /** Acts as the peer; resolves once the transport has closed on it. */
  actRaw(peer: RawPeer): Promise<void>;
}

/** One property of the contract. */
export interface TransportCase {
  /** The property in words. */
  readonly name: string;
  /** Resolves if the transport has it, else rejects with what was found. */
  run(): Promise<void>;
}

const DEPLOYMENT = "suite";
const BURST_FRAMES = 20_000;
const BURST_ENTRY_BYTES = 64 << 10;

/**
 * The cases of the contract in `src/transport.ts`, for a transport of yours.
 * Register each as a test of its own, one after the other.
 *
 * @example Run them all
 * ```ts
 * import { transportCases } from "@balsa/raft/testing";
 * import { MemoryNetwork } from "@balsa/raft/transports/memory";
 *
 * const network = new MemoryNetwork({ wire: true });
 * let last = 0;
 * const cases = transportCases({
 *   create: (setup) => network.transport(setup),
 *   freeAddress: () => Promise.resolve(`host:${++last}`),
 *   actRaw: (peer) => {
 *     network.inject(peer.from, peer.target, peer.bytes);
 *     return Promise.resolve();
 *   },
 * });
 * // With a test runner: for (const { name, run } of cases) test(name, run);
 * for (const { run } of cases) await run();
 * ```
 */
export function transportCases(
  options: TransportSuiteOptions,
): TransportCase[] {
  const suite = new TransportSuite(options);
  const snapshots = new TransportSnapshotCases(() => suite.host());
  const property = (name: string, body: () => Promise<void>) => ({
    name,
    run: () => suite.run(body),
  });
  return [
    property(
      "messages are never changed, nor handed to a host they were not sent to",
      () => suite.deliversUnchanged(),
    ),
    property(
      "send never throws; when the peer's queue is full it drops the frame and returns false",
      () => suite.boundsItsQueue(),
    ),
    property(
      "send never throws for a peer that is not there, and says so",
      () => suite.reportsAbsence(),
    ),
    property(
      "receive gets the address and the data directory that the sender named at the handshake (H80, H131)",
      () => suite.namesTheSender(),
    ),
    property(
      "a peer of another deployment is refused, reported and harms nobody else (H135)",
      () => suite.refuses({ deployment: "elsewhere" }),
    ),
    property(
      "a peer without a common protocol version is refused, reported and harms nobody else",
      () => suite.refuses({ protocol: { min: 900, max: 901 } }),
    ),
    property(
      "a malformed frame closes its connection and nothing else (H136)",
      () => suite.closesOn(MALFORMED),
    ),
    property(
      "an oversized frame closes its connection and nothing else (H132)",
      () => suite.closesOn(OVERSIZED),
    ),
    property(
      "a peer that comes back is found again (H33)",
      () => suite.findsAgain(),
    ),
    property(
      "what is handed to receive is the receiver's own (H121)",
      () => suite.handsOver(),
    ),
    property(
      "after close resolves nothing is delivered, and the address is free",
      () => suite.closes(),
    ),
    ...SNAPSHOT_PROPERTIES.map(([name, body]) =>
      property(name, () => body(snapshots))
    ),
  ];
}

/** What a transport does with snapshots. */
const SNAPSHOT_PROPERTIES: readonly (readonly [
  name: string,
  body: (cases: TransportSnapshotCases) => Promise<void>,
])[] = [
  [
    "a snapshot arrives whole, in order, with its meta",
    (cases) => cases.carriesSnapshots(),
  ],
  [
    "a snapshot that is not taken rejects at its sender",
    (cases) => cases.reportsSnapshotFailures(),
  ],
  [
    "an aborted snapshot rejects and never passes for a whole one",
    (cases) => cases.abortsSnapshots(),
  ],
  [
    "a snapshot arrives from the offset its receiver asks for, also after its connection broke (H66)",
    (cases) => cases.resumesSnapshots(),
  ],
];

/** Length 2, kind of messages, and CBOR that opens a map. */
const MALFORMED = new Uint8Array([0, 0, 0, 2, 0x11, 0xa1]);
/** A length of 4 GiB less one, with nothing behind it. */
const OVERSIZED = new Uint8Array([0xff, 0xff, 0xff, 0xff, 0x11]);

class TransportSuite {
  readonly #options: TransportSuiteOptions;
  #hosts: Host[] = [];

  constructor(options: TransportSuiteOptions) {
    this.#options = options;
  }

  /** Runs a case and closes what it opened. */
  async run(body: () => Promise<void>): Promise<void> {
    try {
      await body();
    } finally {
      const hosts = this.#hosts;
      this.#hosts = [];
      await Promise.all(hosts.map((host) => host.transport.close()));
    }
  }

  async deliversUnchanged(): Promise<void> {
    const [a, b, c] = [
      await this.host(),
      await this.host(),
      await this.host(),
    ];
    const frames = sampleFrames();
    await a.connect(b);
    await a.connect(c);
    for (const frame of frames) {
      await eventually("a frame arrives as it was sent", () => {
        a.transport.send(b.address, frame);
        return b.received.some(({ envelopes }) => isSame(envelopes, frame));
      });
    }
    const sent = [...frames, HELLO];
    for (const { envelopes } of b.received) {
      check(
        sent.some((frame) => isSame(frame, envelopes)),
        "something was delivered that nobody sent",
      );
    }
    const strays = c.received.filter(({ envelopes }) =>
      !isSame(envelopes, HELLO)
    );
    check(strays.length === 0, "a frame went to the wrong host");
  }

  async boundsItsQueue(): Promise<void> {
    const [a, b] = [await this.host(), await this.host()];
    await a.connect(b);
    const frame = [append([command(1, new Uint8Array(BURST_ENTRY_BYTES))])];
    let taken = 0;
    while (taken < BURST_FRAMES && a.transport.send(b.address, frame)) taken++;
    check(taken > 0, "not even one frame was taken");
    check(taken < BURST_FRAMES, `${taken} frames were taken at once`);
    const before = b.received.length;
    await eventually(
      "the queue takes frames again once it has drained",
      () => b.received.length > before && a.transport.send(b.address, HELLO),
    );
  }

  async reportsAbsence(): Promise<void> {
    const a = await this.host();
    const nobody = await this.#options.freeAddress();
    await eventually("a peer that is not there is unreachable", () => {
      a.transport.send(nobody, HELLO);
      return a.states(nobody).some(({ type }) => type === "unreachable");
    });
    const [state] = a.states(nobody);
    check(
      state?.type === "unreachable" && state.refused,
      "a port where nobody listens is not reported as refused",
    );
  }

  async namesTheSender(): Promise<void> {
    const [a, b] = [await this.host(), await this.host("clients:1")];
    await a.connect(b);
    await b.connect(a);
    for (const [host, other] of [[a, b], [b, a]] as const) {
      for (const { address, incarnation } of host.received) {
        check(address === other.address, `a frame came from ${address}`);
        check(
          incarnation === other.identity.incarnation,
          `a frame came from the data directory ${incarnation} (H80)`,
        );
      }
    }
    const [state] = a.states(b.address);
    check(
      state?.type === "connected" && state.clientAddress === "clients:1",
      "the peer's client address was not told",
    );
    check(
      state?.type === "connected" &&
        state.incarnation === b.identity.incarnation,
      "the peer's data directory was not told (H80)",
    );
  }

  async refuses(
    stranger: { readonly deployment?: string } & TransportSetup,
  ): Promise<void> {
    const [a, b] = [await this.host(), await this.host()];
    await a.connect(b);
    const { deployment = DEPLOYMENT, ...setup } = stranger;
    const foreign = await this.host(undefined, { deployment, setup });
    await eventually("a foreign peer is refused and told so", () => {
      foreign.transport.send(b.address, HELLO);
      return b.refusals.length > 0 &&
        foreign.states(b.address).some(({ type }) => type === "rejected");
    });
    await this.#stillTalks(a, b);
    check(
      b.received.every(({ address }) => address === a.address),
      "a foreign peer's frame was delivered",
    );
  }

  async closesOn(bytes: Uint8Array): Promise<void> {
    const [a, b] = [await this.host(), await this.host()];
    await a.connect(b);
    const from = await this.#options.freeAddress();
    const deployment = DEPLOYMENT;
    const peer = { target: b.address, from, deployment, bytes };
    await this.#options.actRaw(peer);
    await eventually("damage is reported", () => b.refusals.length > 0);
    check(
      b.received.every(({ address }) => address !== from),
      "a damaged frame was delivered",
    );
    await this.#stillTalks(a, b);
    const lost = a.states(b.address).filter(({ type }) => type !== "connected");
    check(lost.length === 0, "another peer's connection suffered");
  }

  async findsAgain(): Promise<void> {
    const [a, b] = [await this.host(), await this.host()];
    await a.connect(b);
    await b.transport.close();
    await eventually("a peer that went away is missed", () => {
      a.transport.send(b.address, HELLO);
      return a.states(b.address).at(-1)?.type === "unreachable";
    });
    const again = await this.host(undefined, { address: b.address });
    await a.connect(again);
    const state = a.states(b.address).at(-1);
    check(state?.type === "connected", "the return of a peer was not told");
  }

  async handsOver(): Promise<void> {
    const [a, b] = [await this.host(), await this.host()];
    await a.connect(b);
    const copies: Envelope[][] = [];
    const kept: (readonly Envelope[])[] = [];
    for (let round = 1; round <= 50; round++) {
      const data = new Uint8Array(10 + 40 * round).fill(round);
      const index = round;
      const frame = [append([command(index, data)])];
      await eventually("a frame arrives", () => {
        a.transport.send(b.address, frame);
        return b.received.some(({ envelopes }) => isSame(envelopes, frame));
      });
      const [got] = b.received.filter(({ envelopes }) =>
        isSame(envelopes, frame)
      );
      if (got !== undefined) kept.push(got.envelopes);
      copies.push([append([command(index, data.slice())])]);
      data.fill(0xaa);
    }
    check(isSame(kept, copies), "bytes changed after they were delivered");
  }

  async closes(): Promise<void> {
    const [a, b] = [await this.host(), await this.host()];
    await a.connect(b);
    for (let i = 0; i < 100; i++) a.transport.send(b.address, HELLO);
    await Promise.all([b.transport.close(), b.transport.close()]);
    const count = b.received.length + b.states(a.address).length;
    check(!b.transport.send(a.address, HELLO), "a closed transport sends");
    const again = await this.host(undefined, { address: b.address });
    await a.connect(again);
    check(
      b.received.length + b.states(a.address).length === count,
      "something was delivered after close",
    );
    await rejects(
      "a closed transport starts again",
      again.transport.close().then(() => again.start()),
    );
  }

  /** A host of its own, started; closed when the case is over. */
  async host(
    clientAddress?: string,
    options: {
      readonly address?: string;
      readonly deployment?: string;
      readonly setup?: TransportSetup;
    } = {},
  ): Promise<Host> {
    const host = new Host(this.#options.create(options.setup ?? {}), {
      deployment: options.deployment ?? DEPLOYMENT,
      address: options.address ?? await this.#options.freeAddress(),
      clientAddress,
      incarnation: `disk-${this.#hosts.length}`,
    });
    this.#hosts.push(host);
    await host.start();
    return host;
  }

  async #stillTalks(a: Host, b: Host): Promise<void> {
    const before = b.received.length;
    await eventually("the other peers go on as before", () => {
      a.transport.send(b.address, HELLO);
      return b.received.length > before;
    });
  }
}

/** A frame that says nothing in particular. */
const HELLO: readonly Envelope[] = [{
  group: 1,
  message: { type: "timeoutNow", from: 1, to: 2, term: 1 },
}];

function append(entries: readonly Entry[]): Envelope {
  return {
    group: 1,
    message: {
      type: "appendEntries",
      from: 1,
      to: 2,
      term: 9,
      prevLogIndex: (entries[0]?.index ?? 1) - 1,
      prevLogTerm: 0,
      commitIndex: 0,
      entries,
    },
  };
}

function command(index: number, data: Uint8Array): Entry {
  return { type: "command", term: 1, index, data };
}
