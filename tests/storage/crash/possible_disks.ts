/**
 * What a disk may hold when the power goes: the model of the file system.
 *
 * - What was flushed is there. Of the rest, each sector of 512 bytes holds
 *   any of the contents it had since, or a part of the newest and a part of
 *   an older one: the disk tore it. Sectors know nothing of each other.
 * - A file is as long as it was at any moment since it was flushed.
 * - Names that were made, changed or removed since their folder was flushed
 *   are so or are not, each change as a whole, and no change without those
 *   before it of the same names. Otherwise they know nothing of each other.
 * - A file whose name was lost is lost, however well it was flushed.
 *
 * @module
 */
import { Alternatives, applyData, type PossibleFile } from "./alternatives.ts";
import {
  type DiskEvent,
  type FileId,
  FOLDER,
  type Image,
  type LiveDisk,
  type Marks,
  type NameChange,
} from "./recorder.ts";
import type { Random } from "./random.ts";

interface PendingNames {
  readonly index: number;
  readonly folder: string;
  readonly changes: readonly NameChange[];
}

/** The disk after some events, as far as it can be known. */
export class PossibleDisks {
  readonly #names = new Map<string, FileId>();
  #pendingNames: PendingNames[] = [];
  readonly #files = new Map<FileId, PossibleFile>();
  #count = 0;
  #marks: Marks = { submitted: 0, acked: 0, aside: undefined };

  /** A disk that surely holds an image, as {@linkcode Recorder} numbers it. */
  constructor(image: Image) {
    let file = FOLDER;
    for (const path of image.folders) this.#names.set(path, FOLDER);
    for (const [path, durable] of image.files) {
      this.#names.set(path, ++file);
      this.#files.set(file, { durable, pending: [] });
    }
  }

  /** How many steps were begun and acknowledged up to here. */
  get marks(): Marks {
    return this.#marks;
  }

  /** Goes on by one event. */
  add(event: DiskEvent): void {
    const index = this.#count++;
    switch (event.type) {
      case "names":
        this.#pendingNames.push({ ...event, index });
        return;
      case "write":
      case "truncate":
        this.#file(event.file).pending.push({
          ...event,
          index,
          isDurable: false,
        });
        return;
      case "settled":
        this.#settle(event.write);
        return;
      case "sync":
        this.#sync(event.file, event.from);
        return;
      case "syncDirectory":
        this.#syncNames(event.folder, event.from);
        return;
      case "mark":
        this.#marks = event;
        return;
    }
  }

  /**
   * The possible disks: all of them if there are at most `limit`, else that
   * many by chance, the two plainest ones among them.
   */
  *images(limit: number, random: Random): Generator<Image> {
    const all = this.#nameSets().map((names) => this.#alternatives(names));
    const total = all.reduce((sum, { count }) => sum + count, 0);
    if (total <= limit) {
      for (const alternatives of all) yield* alternatives.all(random);
      return;
    }
    const [oldest, newest] = [all[0], all.at(-1)];
    if (oldest !== undefined) yield oldest.oldest();
    if (newest !== undefined) yield newest.newest();
    for (let i = 2; i < limit; i++) {
      const alternatives = all[random.below(all.length)];
      if (alternatives !== undefined) yield alternatives.any(random);
    }
  }

  /** One possible disk, by chance. */
  any(random: Random): Image {
    const sets = this.#nameSets();
    const names = sets[random.below(sets.length)] ?? new Map();
    return this.#alternatives(names).any(random);
  }

  /** The least that may be left: what was flushed. */
  least(): Image {
    return this.#alternatives(reachable(new Map(this.#names))).oldest();
  }

  /** The disk as a process sees it that starts while the machine lives on. */
  live(): LiveDisk {
    const names = this.#nameSets().at(-1) ?? new Map<string, FileId>();
    const ids = new Map([...names].filter(([, file]) => file !== FOLDER));
    const image = this.#alternatives(names).newest();
    const lastFile = Math.max(FOLDER, ...this.#files.keys(), ...ids.values());
    return { ...image, ids, lastFile, eventCount: this.#count };
  }

  /** Another one, to go on from here with other events. */
  fork(): PossibleDisks {
    const other = new PossibleDisks({ files: new Map(), folders: new Set() });
    for (const [path, file] of this.#names) other.#names.set(path, file);
    other.#pendingNames = [...this.#pendingNames];
    for (const [id, { durable, pending }] of this.#files) {
      other.#files.set(id, {
        durable,
        pending: pending.map((data) => ({ ...data })),
      });
    }
    other.#count = this.#count;
    return other;
  }

  #file(id: FileId): PossibleFile {
    let file = this.#files.get(id);
    if (file === undefined) {
      file = { durable: new Uint8Array(0), pending: [] };
      this.#files.set(id, file);
    }
    return file;
  }

  #settle(write: number): void {
    for (const { pending } of this.#files.values()) {
      for (const data of pending) {
        if (data.index === write) data.isDurable = true;
      }
    }
  }

  #sync(id: FileId, from: number): void {
    const file = this.#file(id);
    for (const data of file.pending) {
      if (data.index < from) file.durable = applyData(file.durable, data);
    }
    file.pending = file.pending.filter(({ index }) => index >= from);
  }

  #syncNames(folder: string, from: number): void {
    const isDue = (it: PendingNames) => it.folder === folder && it.index < from;
    for (const { changes } of this.#pendingNames.filter(isDue)) {
      applyNames(this.#names, changes);
    }
    this.#pendingNames = this.#pendingNames.filter((it) => !isDue(it));
  }

  /** What may be in the folders: the oldest first, the newest last. */
  #nameSets(): Map<string, FileId>[] {
    let kept: PendingNames[][] = [[]];
    for (const change of this.#pendingNames) {
      const paths = new Set(change.changes.map(([path]) => path));
      const needed = this.#pendingNames.filter((other) =>
        other.index < change.index &&
        other.changes.some(([path]) => paths.has(path))
      );
      const possible = kept.filter((set) =>
        needed.every((other) => set.includes(other))
      );
      kept = [...kept, ...possible.map((set) => [...set, change])];
    }
    return kept.map((set) => {
      const names = new Map(this.#names);
      for (const { changes } of set) applyNames(names, changes);
      return reachable(names);
    });
  }

  #alternatives(names: ReadonlyMap<string, FileId>): Alternatives {
    return new Alternatives(names, (id) => this.#file(id));
  }
}

function applyNames(
  names: Map<string, FileId>,
  changes: readonly NameChange[],
): void {
  for (const [path, to] of changes) {
    if (names.get(path) === FOLDER) removeBelow(names, path);
    if (to === undefined) names.delete(path);
    else names.set(path, to);
  }
}

/** What was in a folder goes with it; one made anew is empty. */
function removeBelow(names: Map<string, FileId>, folder: string): void {
  for (const name of names.keys()) {
    if (name.startsWith(`${folder}/`)) names.delete(name);
  }
}

/** Without the names in folders that are not there. */
function reachable(names: Map<string, FileId>): Map<string, FileId> {
  const isThere = (path: string): boolean => {
    const end = path.lastIndexOf("/");
    if (end <= 0) return true;
    const folder = path.slice(0, end);
    return names.get(folder) === FOLDER && isThere(folder);
  };
  return new Map([...names].filter(([path]) => isThere(path)));
}
