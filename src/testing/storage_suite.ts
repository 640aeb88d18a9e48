/**
 * The contract of storages as cases for any test runner.
 *
 * @module
 */
import { StorageBench, type StorageUnderTest } from "./storage_bench.ts";
import { StorageAccessCases } from "./storage_access_cases.ts";
import { StorageCases } from "./storage_cases.ts";
import { SnapshotCases } from "./storage_snapshot_cases.ts";

/** What the cases need to know of a storage. */
export interface StorageSuiteOptions {
  /** Fresh, empty data. */
  create(): Promise<StorageUnderTest> | StorageUnderTest;
  /** Whether it stores snapshots and compacts; adds the cases for that. */
  readonly snapshots: boolean;
}

/** One property of the contract. */
export interface StorageCase {
  /** The property in words. */
  readonly name: string;
  /** Resolves if the storage has it, else rejects with what was found. */
  run(): Promise<void>;
}

type CaseTable<Suite> = readonly (readonly [
  name: string,
  body: (suite: Suite) => Promise<void>,
])[];

/** What is written, and what is left of it. */
const DURABILITY: CaseTable<StorageCases> = [
  [
    "a batch that resolved survives every crash",
    (suite) => suite.resolvedSurvives(),
  ],
  [
    "a batch that did not resolve is there as a whole or not, and never without the batches before it",
    (suite) => suite.unresolvedIsWhole(),
  ],
  [
    "within one group write, entries replace everything stored from the first one's index on",
    (suite) => suite.entriesReplace(),
  ],
  [
    "hard state and entries become durable together",
    (suite) => suite.stateAndEntriesTogether(),
  ],
  [
    "batches become durable in the order in which write was called",
    (suite) => suite.orderIsKept(),
  ],
  [
    "a batch without sync resolves, and becomes durable with the next one",
    (suite) => suite.lazyRidesAlong(),
  ],
  [
    "a dropped suffix never comes back, not after any crash (H53)",
    (suite) => suite.droppedStaysDropped(),
  ],
  [
    "open returns what the resolved batches left, entry for entry, with the same terms, types and payload bytes",
    (suite) => suite.opensWhatWasWritten(),
  ],
  [
    "a group may start from a snapshot (thesis §5.3)",
    (suite) => suite.startsFromSnapshot(),
  ],
  [
    "the storage copies or writes out what it is given before write returns (H121)",
    (suite) => suite.takesCopies(),
  ],
  [
    "what the storage hands out is the caller's (H121)",
    (suite) => suite.handsOutCopies(),
  ],
  [
    "after a failed flush every later call rejects with storageFailed (H44)",
    (suite) => suite.failsForGood(),
  ],
  [
    "damage is an error of code corrupt that names file and offset (H48)",
    (suite) => suite.damageIsTold(),
  ],
];

/** Who may read and write what. */
const ACCESS: CaseTable<StorageAccessCases> = [
  [
    "a second opening of the same data rejects with locked and changes nothing",
    (suite) => suite.locks(),
  ],
  [
    "an opening for another deployment rejects with identityMismatch and changes nothing",
    (suite) => suite.refusesStrangers(),
  ],
  [
    "the incarnation is minted once and stays (H80)",
    (suite) => suite.keepsIncarnation(),
  ],
  [
    "read returns the stored entries of a range in order, at least one, and stops before maxBytes",
    (suite) => suite.readsRanges(),
  ],
  [
    "read returns entries that are not flushed yet",
    (suite) => suite.readsUnflushed(),
  ],
  [
    "a write that does not fit what is stored is refused as a whole",
    (suite) => suite.refusesMisfits(),
  ],
  [
    "a destroyed group is gone for good, and may be made anew",
    (suite) => suite.destroys(),
  ],
  ["groups do not touch each other", (suite) => suite.keepsGroupsApart()],
  [
    "close waits for what was written and may be called twice",
    (suite) => suite.closes(),
  ],
];

/** What lies below the log. */
const SNAPSHOTS: CaseTable<SnapshotCases> = [
  [
    "a snapshot is visible once it is committed, as a whole, and survives a crash",
    (suite) => suite.commits(),
  ],
  ["a snapshot that was thrown away is never seen", (suite) => suite.aborts()],
  [
    "an older snapshot never replaces a newer one (H63)",
    (suite) => suite.keepsNewest(),
  ],
  [
    "a snapshot takes the place of one of its index, which may be damaged",
    (suite) => suite.replacesSame(),
  ],
  [
    "compact drops entries up to the index, at most to the snapshot's (H54)",
    (suite) => suite.compacts(),
  ],
  [
    "a snapshot that contradicts the log replaces all of it",
    (suite) => suite.installsOver(),
  ],
  [
    "a snapshot that the log holds the end of keeps what is above",
    (suite) => suite.installsWithin(),
  ],
  [
    "a snapshot the log does not reach counts for nothing until it is installed (H54)",
    (suite) => suite.forgetsUninstalled(),
  ],
  [
    "chunks of a snapshot may come twice and overlap; one that comes too early changes nothing (H65)",
    (suite) => suite.takesChunksByOffset(),
  ],
  [
    "a snapshot that was suspended is gone on with where it ended, also after a crash (H66)",
    (suite) => suite.resumes(),
  ],
  [
    "what came of one snapshot is never mixed into another (H65)",
    (suite) => suite.mixesNothing(),
  ],
  [
    "the token of a snapshot names its bytes and no others",
    (suite) => suite.namesBytes(),
  ],
  [
    "a snapshot of a group that was destroyed never gets into one made after it",
    (suite) => suite.endsWithItsGroup(),
  ],
];

/**
 * The cases of the contract in `src/storage.ts`, for a storage of yours.
 *
 * @example Run them all
 * ```ts
 * import { storageCases } from "@balsa/raft/testing";
 * import { MemoryStorage } from "@balsa/raft/storage/memory";
 *
 * const cases = storageCases({
 *   snapshots: true,
 *   create: () => {
 *     let isFailing = false;
 *     let flushes = 0;
 *     const onFlush = () => {
 *       flushes++;
 *       if (!isFailing) return;
 *       isFailing = false;
 *       throw new Error("Cannot flush: the disk is broken");
 *     };
 *     let last = new MemoryStorage({ onFlush });
 *     return {
 *       attach: () => (last = last.attach()),
 *       crash: () => Promise.resolve(void (last = last.crash())),
 *       failNextFlush: () => void (isFailing = true),
 *       damage: (group, index) =>
 *         Promise.resolve(last.damage(group, index)),
 *       fingerprint: () => Promise.resolve(String(flushes)),
 *       dispose: () => Promise.resolve(),
 *     };
 *   },
 * });
 * // With a test runner: for (const { name, run } of cases) test(name, run);
 * for (const { run } of cases) await run();
 * ```
 */
export function storageCases(options: StorageSuiteOptions): StorageCase[] {
  const list = <Suite>(
    table: CaseTable<Suite>,
    make: (bench: StorageBench) => Suite,
  ): StorageCase[] =>
    table.map(([name, body]) => ({
      name,
      run: () => runCase(options, (bench) => body(make(bench))),
    }));
  return [
    ...list(DURABILITY, (bench) => new StorageCases(bench)),
    ...list(ACCESS, (bench) => new StorageAccessCases(bench)),
    ...options.snapshots
      ? list(SNAPSHOTS, (bench) => new SnapshotCases(bench))
      : [],
  ];
}

async function runCase(
  options: StorageSuiteOptions,
  body: (bench: StorageBench) => Promise<void>,
): Promise<void> {
  const bench = new StorageBench(await options.create());
  try {
    await body(bench);
  } finally {
    await bench.dispose();
  }
}
