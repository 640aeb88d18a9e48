/**
 * Begins a new cluster with the state of a backup.
 *
 * @module
 */
import fs from "node:fs";
import { type BackupManifest, BackupReader } from "../../src/backup_format.ts";
import type {
  ConfState,
  GroupId,
  MemberAddress,
  NodeId,
} from "../../src/core/types.ts";
import {
  createGroup,
  installSnapshot,
  NO_MEMBERS,
  type Progress,
} from "./copy_group.ts";
import { Refusal } from "./refusal.ts";
import { placeDirectory, requireEmpty } from "./replace_directory.ts";

/** What to make of a backup. */
export interface RestoreOptions {
  /** The backup's file. */
  readonly file: string;
  /** The data directory to make; must be empty or not there. */
  readonly directory: string;
  /** The deployment of the new cluster. */
  readonly deployment: string;
  /** The group's id there. @default {that in the backup} */
  readonly group?: GroupId | undefined;
  /** This member's id. */
  readonly node: NodeId;
  /**
   * Every member the group begins with, this one included. Restore the same
   * backup for each of them, with the same list.
   */
  readonly members: readonly MemberAddress[];
  /**
   * Whether the new cluster may bear the old one's name. Only if every member
   * of that is destroyed: otherwise two clusters take each other for one
   * (H87). Their ids are refused for ever then.
   *
   * @default {false}
   */
  readonly sameDeployment?: boolean | undefined;
  /** How far it has come, in bytes of the state. */
  readonly progress?: Progress | undefined;
}

/** A backup that was read to its end and found right. */
export interface CheckedBackup {
  /** Its path. */
  readonly file: string;
  /** What it holds. */
  readonly manifest: BackupManifest;
  /** Bytes of the state. */
  readonly bytes: number;
  /** SHA-256 of the file but for its last 32 bytes, in hexadecimal. */
  readonly digest: string;
}

/** What was restored. */
export interface RestoreOutcome extends CheckedBackup {
  /** The new data directory. */
  readonly directory: string;
  /** Its own name. */
  readonly incarnation: string;
  /** The configuration the group begins with. */
  readonly conf: ConfState;
}

/**
 * Reads a whole backup and checks everything in it.
 *
 * @throws {RangeError} If the file cannot be read.
 * @throws {RaftError} `corrupt` or `unsupportedFormat`.
 */
export async function verifyBackup(
  file: string,
  progress?: Progress,
): Promise<CheckedBackup> {
  const reader = await BackupReader.open(readFile(file));
  for await (const _ of reader.chunks()) progress?.(reader.bytes);
  const { manifest, bytes, digest } = reader;
  return { file, manifest, bytes, digest: digest ?? "" };
}

/**
 * Makes the data directory of one member of a new cluster. Everything in the
 * backup is checked before anything is written; the directory is there whole,
 * or not at all.
 *
 * @throws {Refusal} If the directory is not empty, or the deployment is the
 * backup's without leave.
 * @throws {RangeError} If an option is wrong.
 * @throws {RaftError} `corrupt` or `unsupportedFormat` if the backup is
 * damaged; what writing came to.
 */
export async function restore(
  options: RestoreOptions,
): Promise<RestoreOutcome> {
  const { file, directory, deployment, node, progress } = options;
  requireEmpty(directory);
  const checked = await verifyBackup(file);
  const { manifest } = checked;
  const conf = confFor(manifest, options);
  const group = options.group ?? manifest.group;
  const { index, term } = manifest;
  const { incarnation } = await placeDirectory(directory, {
    deployment,
    fill: async (storage) => {
      const reader = await BackupReader.open(readFile(file));
      await createGroup(storage, { group, node, conf: NO_MEMBERS });
      const meta = { index, term, conf };
      const snapshot = { group, meta, chunks: reader.chunks() };
      await installSnapshot(storage, snapshot, progress);
      const hardState = { term, vote: null, commit: index };
      await storage.write([{ group, hardState, entries: [] }]);
    },
  });
  return { ...checked, directory, incarnation, conf };
}

/** The configuration the group begins with. */
function confFor(manifest: BackupManifest, options: RestoreOptions): ConfState {
  const { deployment, members, node } = options;
  if (manifest.index === 0) {
    throw new Refusal(
      `Cannot restore "${options.file}": it holds nothing, wanted a new cluster without it`,
    );
  }
  const ids = [...new Set(members.map(({ id }) => id))].sort((a, b) => a - b);
  const isValid = ids.length === members.length && ids.includes(node) &&
    ids.every((id) => Number.isSafeInteger(id) && id >= 1);
  if (!isValid) {
    throw new RangeError(
      `Cannot restore "${options.file}": the members are ${
        members.map(({ id }) => id).join(", ")
      }, wanted different ids from 1 on and ${node} among them`,
    );
  }
  const isSame = deployment === manifest.deployment;
  if (isSame && options.sameDeployment !== true) {
    throw new Refusal(
      `Cannot restore "${options.file}": it was taken from deployment "${deployment}", wanted another name, or leave to use it again (--same-deployment) once every old member is destroyed`,
    );
  }
  const removed = isSame ? idsOf(manifest.conf) : [];
  const used = ids.filter((id) => removed.includes(id));
  if (used.length > 0) {
    throw new RangeError(
      `Cannot restore "${options.file}": members ${
        used.join(", ")
      } were in deployment "${deployment}" before, wanted new ids`,
    );
  }
  return {
    ...NO_MEMBERS,
    version: manifest.conf.version + 1,
    voters: ids,
    removed,
    addresses: [...members].sort((a, b) => a.id - b.id),
  };
}

function idsOf(conf: ConfState): NodeId[] {
  const { voters, votersOutgoing, learners, learnersNext, removed } = conf;
  const ids = new Set(
    [voters, votersOutgoing, learners, learnersNext, removed].flat(),
  );
  return [...ids].sort((a, b) => a - b);
}

async function* readFile(
  file: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* fs.createReadStream(file, { highWaterMark: 256 << 10 });
  } catch (cause) {
    throw new RangeError(
      `Cannot read "${file}": ${
        cause instanceof Error ? cause.message : String(cause)
      }`,
      { cause },
    );
  }
}
