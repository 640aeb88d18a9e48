/**
 * What a data directory holds.
 *
 * @module
 */
import { join } from "node:path";
import type {
  AppliedConf,
  ConfState,
  GroupId,
  HardState,
  LogIndex,
  NodeId,
  Term,
  TermRun,
} from "../../src/core/types.ts";
import type { StorageRepair, StoredGroup } from "../../src/storage.ts";
import { nodeFileSystem, type WalStorage } from "../wal/mod.ts";
import { listFiles, openReadOnly } from "./data_directory.ts";

/** One group, as opening finds it. */
export interface GroupInspection {
  /** The group. */
  readonly group: GroupId;
  /** The member that the data belongs to. */
  readonly node: NodeId;
  /** Term, vote, and how far it knew of a commit. */
  readonly hardState: HardState;
  /** The first entry that is there. */
  readonly firstIndex: LogIndex;
  /** The last one; `firstIndex - 1` if there is none. */
  readonly lastIndex: LogIndex;
  /** Term of the last entry, or of the snapshot if there is none. */
  readonly lastTerm: Term;
  /** Where each term begins. */
  readonly termRuns: readonly TermRun[];
  /** The snapshot below the log; `null` if the log begins at 1. */
  readonly snapshot: SnapshotInspection | null;
  /** The newest configuration known to have been applied. */
  readonly conf: ConfState;
  /** The entry that made it, or the snapshot that holds it. */
  readonly confIndex: LogIndex;
}

/** A snapshot that a group starts from. */
export interface SnapshotInspection {
  /** The last entry it holds. */
  readonly index: LogIndex;
  /** Term of that entry. */
  readonly term: Term;
  /** Bytes of its data. */
  readonly bytes: number;
}

/** A file and its size. */
export interface FileInspection {
  /** Its path. */
  readonly file: string;
  /** Its length in bytes. */
  readonly bytes: number;
}

/** A data directory. */
export interface Inspection {
  /** Its path. */
  readonly directory: string;
  /** The deployment it belongs to. */
  readonly deployment: string;
  /** Its own name. */
  readonly incarnation: string;
  /** The process that uses it, or `null`. */
  readonly heldBy: number | null;
  /** Bytes of all files. */
  readonly bytes: number;
  /** Segments of the log, oldest first. */
  readonly segments: readonly FileInspection[];
  /** Files of snapshots. */
  readonly snapshots: readonly FileInspection[];
  /** Everything else. */
  readonly others: readonly FileInspection[];
  /** Groups, ascending by id. */
  readonly groups: readonly GroupInspection[];
  /** What opening would repair. */
  readonly repairs: readonly StorageRepair[];
}

/**
 * Looks at a data directory, also while a member uses it. Changes nothing.
 *
 * @throws {RangeError} If it is no data directory.
 * @throws {RaftError} `corrupt` or `unsupportedFormat`: then `verify` tells
 * more.
 */
export async function inspect(directory: string): Promise<Inspection> {
  const log = await openReadOnly(directory);
  try {
    const groups: GroupInspection[] = [];
    for (const stored of log.opened.groups) {
      groups.push(await inspectGroup(log.storage, stored));
    }
    const files = filesOf(log.directory);
    const isSegment = ({ file }: FileInspection) => file.endsWith(".wal");
    const isSnapshot = ({ file }: FileInspection) => file.endsWith(".snap");
    return {
      directory: log.directory,
      deployment: log.owner.deployment,
      incarnation: log.owner.incarnation,
      heldBy: log.heldBy,
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      segments: files.filter(isSegment),
      snapshots: files.filter(isSnapshot),
      others: files.filter((it) => !isSegment(it) && !isSnapshot(it)),
      groups,
      repairs: log.opened.repairs,
    };
  } finally {
    await log.storage.close();
  }
}

/** Files of the directory and of the folders of its snapshots. */
export function filesOf(directory: string): FileInspection[] {
  const fileSystem = nodeFileSystem();
  if (namesIn(directory).length === 0) return [];
  const folders = [directory];
  const snapshots = join(directory, "snapshots");
  for (const name of namesIn(snapshots)) {
    const folder = join(snapshots, name);
    if (namesIn(folder).length > 0) folders.push(folder);
  }
  return folders.flatMap((folder) =>
    listFiles(fileSystem, folder).map(({ path, bytes }) => ({
      file: path,
      bytes,
    }))
  );
}

function namesIn(folder: string): readonly string[] {
  try {
    return nodeFileSystem().list(folder);
  } catch {
    return [];
  }
}

/** What there is to say of a group without reading its entries. */
export async function inspectGroup(
  storage: Pick<WalStorage, "snapshotReader">,
  stored: StoredGroup,
): Promise<GroupInspection> {
  const { group, node, hardState, firstIndex, lastIndex, termRuns } = stored;
  const { index: confIndex, conf } = newestConf(stored);
  return {
    group,
    node,
    hardState,
    firstIndex,
    lastIndex,
    lastTerm: termRuns.at(-1)?.term ?? stored.prevTerm,
    termRuns,
    snapshot: await inspectSnapshot(storage, stored),
    conf,
    confIndex,
  };
}

async function inspectSnapshot(
  storage: Pick<WalStorage, "snapshotReader">,
  { group, snapshot }: StoredGroup,
): Promise<SnapshotInspection | null> {
  if (snapshot.index === 0) return null;
  const reader = await storage.snapshotReader(group);
  const bytes = reader?.bytes ?? 0;
  reader?.release?.();
  return { index: snapshot.index, term: snapshot.term, bytes };
}

/** The one an entry made may be older than the snapshot that came in. */
export function newestConf(stored: StoredGroup): AppliedConf {
  const { conf, snapshot } = stored;
  return conf !== undefined && conf.index > snapshot.index
    ? conf
    : { index: snapshot.index, conf: snapshot.conf };
}
