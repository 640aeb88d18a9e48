/**
 * What the files of a disk may hold, given what names lead to them.
 *
 * @module
 */
import { type FileId, FOLDER, type Image } from "./recorder.ts";
import type { Random } from "./random.ts";

/** What a disk writes as a whole, unless it tears. */
const SECTOR_BYTES = 512;

/** A change of a file that was not flushed. */
export type PendingData =
  & {
    /** Its place among all events. */
    readonly index: number;
    /** Set once a write that goes through has returned. */
    isDurable: boolean;
  }
  & (
    | {
      readonly type: "write";
      readonly position: number;
      readonly bytes: Uint8Array;
    }
    | { readonly type: "truncate"; readonly size: number }
  );

/** A file: what is surely there, and what came since. */
export interface PossibleFile {
  durable: Uint8Array;
  pending: PendingData[];
}

/** The contents a sector may have, oldest first; at least two. */
interface Sector {
  readonly file: FileId;
  readonly at: number;
  readonly versions: readonly Uint8Array[];
}

/** What a file may be. */
interface Versions {
  readonly file: FileId;
  readonly durable: Uint8Array;
  /** In the order in which the file had them; at least one. */
  readonly sizes: readonly number[];
}

/** Says which of so many ways to take; the last two of a sector are tears. */
interface Choice {
  readonly size: (sizes: readonly number[]) => number;
  readonly sector: (sector: Sector) => Uint8Array;
}

/** All that the files may hold which some names lead to. */
export class Alternatives {
  readonly #names: ReadonlyMap<string, FileId>;
  readonly #files: Versions[] = [];
  readonly #sectors: Sector[] = [];
  /** How many ways there are, each tear in one place. */
  readonly count: number;

  /** Asks `fileOf` about each file that has a name. */
  constructor(
    names: ReadonlyMap<string, FileId>,
    fileOf: (id: FileId) => PossibleFile,
  ) {
    this.#names = names;
    let count = 1;
    for (const file of new Set(names.values())) {
      if (file === FOLDER) continue;
      const { durable, pending } = fileOf(file);
      const { sizes, sectors } = versionsOf(durable, pending);
      this.#files.push({ file, durable, sizes });
      count *= sizes.length;
      for (const [at, versions] of sectors) {
        this.#sectors.push({ file, at, versions });
        count *= waysOf(versions);
      }
    }
    this.count = count;
  }

  /** Nothing of what was not flushed. */
  oldest(): Image {
    return this.#build({
      size: (sizes) => sizes[0] ?? 0,
      sector: ({ versions }) => versionAt(versions, 0),
    });
  }

  /** Everything, flushed or not. */
  newest(): Image {
    return this.#build({
      size: (sizes) => sizes.at(-1) ?? 0,
      sector: ({ versions }) => versionAt(versions, versions.length - 1),
    });
  }

  /** One by chance. */
  any(random: Random): Image {
    // All by the same coin would hardly ever keep, or lose, nearly all.
    const chance = random.next();
    const draw = (count: number) =>
      random.chance(chance) ? count - 1 : random.below(count);
    return this.#build({
      size: (sizes) => sizes[draw(sizes.length)] ?? 0,
      sector: ({ versions }) =>
        random.chance(0.3)
          ? torn(versions, random)
          : versionAt(versions, draw(versions.length)),
    });
  }

  /** Every one; where a tear is is left to chance. */
  *all(random: Random): Generator<Image> {
    for (let number = 0; number < this.count; number++) {
      let rest = number;
      const take = (count: number) => {
        const way = rest % count;
        rest = Math.floor(rest / count);
        return way;
      };
      yield this.#build({
        size: (sizes) => sizes[take(sizes.length)] ?? 0,
        sector: ({ versions }) => {
          const way = take(waysOf(versions));
          if (way < versions.length) return versionAt(versions, way);
          return torn(versions, random, way === versions.length);
        },
      });
    }
  }

  #build(choice: Choice): Image {
    const contents = new Map<FileId, Uint8Array>();
    for (const { file, durable, sizes } of this.#files) {
      const content = new Uint8Array(choice.size(sizes));
      content.set(durable.subarray(0, content.length));
      contents.set(file, content);
    }
    for (const sector of this.#sectors) {
      const bytes = choice.sector(sector);
      const content = contents.get(sector.file);
      if (content === undefined || content.length <= sector.at) continue;
      content.set(bytes.subarray(0, content.length - sector.at), sector.at);
    }
    const files = new Map<string, Uint8Array>();
    const folders = new Set<string>();
    for (const [path, file] of this.#names) {
      const content = contents.get(file);
      if (content === undefined) folders.add(path);
      else files.set(path, content);
    }
    return { files, folders };
  }
}

/** The content of a file after a change. */
export function applyData(
  content: Uint8Array,
  data: PendingData,
): Uint8Array {
  if (data.type === "truncate") {
    const cut = new Uint8Array(data.size);
    cut.set(content.subarray(0, data.size));
    return cut;
  }
  const end = data.position + data.bytes.length;
  const next = new Uint8Array(Math.max(end, content.length));
  next.set(content);
  next.set(data.bytes, data.position);
  return next;
}

function versionsOf(
  durable: Uint8Array,
  pending: readonly PendingData[],
): { sizes: number[]; sectors: Map<number, Uint8Array[]> } {
  let content = durable;
  let sizes = [content.length];
  const sectors = new Map<number, Uint8Array[]>();
  for (const data of pending) {
    const before = content;
    content = applyData(content, data);
    const [from, to] = data.type === "write"
      ? [data.position, data.position + data.bytes.length]
      : [data.size, before.length];
    const first = from - from % SECTOR_BYTES;
    for (let at = first; at < to; at += SECTOR_BYTES) {
      const known = sectors.get(at) ?? [sectorOf(before, at)];
      const next = sectorOf(content, at);
      if (data.isDurable) sectors.set(at, [next]);
      else if (!isSame(known.at(-1), next)) sectors.set(at, [...known, next]);
    }
    if (data.isDurable) sizes = [content.length];
    else if (!sizes.includes(content.length)) sizes.push(content.length);
  }
  return { sizes, sectors };
}

function sectorOf(content: Uint8Array, at: number): Uint8Array {
  const sector = new Uint8Array(SECTOR_BYTES);
  sector.set(content.subarray(at, at + SECTOR_BYTES));
  return sector;
}

function isSame(one: Uint8Array | undefined, other: Uint8Array): boolean {
  return one !== undefined && one.every((byte, i) => byte === other[i]);
}

function versionAt(versions: readonly Uint8Array[], at: number): Uint8Array {
  return versions[at] ?? new Uint8Array(SECTOR_BYTES);
}

/** Each version, and with two or more the newest torn at either end. */
function waysOf(versions: readonly Uint8Array[]): number {
  return versions.length > 1 ? versions.length + 2 : 1;
}

/** One end of the newest version, the rest of an older one. */
function torn(
  versions: readonly Uint8Array[],
  random: Random,
  isHeadNew: boolean = random.chance(0.5),
): Uint8Array {
  const newest = versionAt(versions, versions.length - 1);
  if (versions.length < 2) return newest;
  const old = versionAt(versions, random.below(versions.length - 1));
  // A tear outside of what differs would be none.
  const from = newest.findIndex((byte, i) => byte !== old[i]);
  const to = newest.findLastIndex((byte, i) => byte !== old[i]);
  const cut = from + 1 + random.below(Math.max(1, to - from));
  const result = (isHeadNew ? old : newest).slice();
  result.set((isHeadNew ? newest : old).subarray(0, cut));
  return result;
}
