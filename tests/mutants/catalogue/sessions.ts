/**
 * Bugs of the sessions, which stand between log and machine.
 *
 * @module
 */
import type { Mutant } from "../mutant.ts";

const RUNNER = "src/rsm/machine_runner.ts";
const TABLE = "src/rsm/sessions.ts";

/** What is kept of clients, how long, and what comes of it. */
const TABLE_MUTANTS: readonly Mutant[] = [
  {
    id: "retry-applied-again",
    hazard: "H102, §6.3",
    what: "a numbered command is applied whenever it is committed",
    patches: [{
      file: TABLE,
      find: `if (slot !== undefined && known.sequences[at] === sequence) {`,
      replace: `if (slot !== undefined && known.sequences[at] === -1) {`,
    }],
  },
  {
    id: "retry-answered-by-the-newest",
    hazard: "H105",
    what: "a retry gets the result of the client's newest command",
    patches: [{
      file: TABLE,
      find: `const slot = known.slots[at];`,
      replace: `const slot = known.slots.at(-1);`,
    }],
  },
  {
    id: "expiry-by-local-count",
    hazard: "H103",
    what: "how many clients are kept depends on the member's own snapshots",
    patches: [{
      file: TABLE,
      find:
        `const { maxClients, maxResults, maxRetiredClients } = this.limits;`,
      replace: `const { maxResults, maxRetiredClients } = this.limits;
    const maxClients = this.limits.maxClients - this.#generation % 2;`,
    }],
  },
  {
    id: "eviction-by-arrival",
    hazard: "H106",
    what: "the client that came first retires, however lately it was there",
    patches: [{
      file: TABLE,
      find: `      this.#clients.delete(client);
      this.#clients.set(client, known);`,
      replace: ``,
    }],
  },
  {
    id: "retired-client-unknown",
    hazard: "H103, H102",
    what: "a client that retired begins anew, its old commands too",
    patches: [{
      file: TABLE,
      find:
        `const floor = known?.floor ?? this.#retired.get(client) ?? NO_FLOOR;`,
      replace: `const floor = known?.floor ?? NO_FLOOR;`,
    }],
  },
  {
    id: "dropped-result-forgotten",
    hazard: "H106, H102",
    what: "a command whose result is no longer kept may be applied again",
    patches: [{
      file: TABLE,
      find: `session.floor = session.sequences.shift() ?? session.floor;`,
      replace: `session.sequences.shift();`,
    }],
  },
  {
    id: "retirement-forgets-the-last",
    hazard: "H102",
    what: "a client that retires may repeat its newest command",
    patches: [{
      file: TABLE,
      find:
        `this.#retired.set(oldest.client, oldest.sequences.at(-1) ?? oldest.floor);`,
      replace: `this.#retired.set(oldest.client, oldest.floor);`,
    }],
  },
];

/** Sessions in snapshots and in replays. */
const RESTORE_MUTANTS: readonly Mutant[] = [
  {
    id: "sessions-not-in-snapshots",
    hazard: "H70",
    what: "a snapshot holds the machine without the active sessions",
    patches: [{
      file: TABLE,
      find: `clients: Array.from(this.#clients.values()),`,
      replace: `clients: [],`,
    }],
  },
  {
    id: "retired-not-in-snapshots",
    hazard: "H70, H103",
    what: "a snapshot lacks the clients that have retired",
    patches: [{
      file: TABLE,
      find: `retired: Array.from(this.#retired),`,
      replace: `retired: [],`,
    }],
  },
  {
    id: "sessions-of-before-the-snapshot",
    hazard: "H67, H70",
    what: "an installed snapshot replaces the machine, not the sessions",
    patches: [{
      file: RUNNER,
      find: `    this.#sessions = sessions;
    this.#appliedIndex = index;`,
      replace: `    if (this.#appliedIndex === 0) this.#sessions = sessions;
    this.#appliedIndex = index;`,
    }],
  },
  {
    id: "replay-without-sessions",
    hazard: "H57, H70",
    what: "what a durable machine held is not counted for its session",
    patches: [{
      file: RUNNER,
      find:
        `const step = session === undefined ? APPLY_STEP : this.#admit(session);`,
      replace: `const step = session === undefined || held
        ? APPLY_STEP
        : this.#admit(session);`,
    }],
  },
  {
    id: "durable-machine-fed-again",
    hazard: "H57",
    what: "a machine that outlived its process is given the log once more",
    patches: [{
      file: RUNNER,
      find: `const held = entry.index <= (this.#machine.appliedIndex ?? 0);`,
      replace: `const held = entry.index <= 0;`,
    }],
  },
];

/** All of this file. */
export const SESSIONS: readonly Mutant[] = [
  ...TABLE_MUTANTS,
  ...RESTORE_MUTANTS,
];
