/**
 * All mutants.
 *
 * @module
 */
import type { Mutant } from "../mutant.ts";
import { DISKS } from "./disks.ts";
import { ELECTIONS } from "./elections.ts";
import { FLOW } from "./flow.ts";
import { MEMBERSHIP_MUTANTS } from "./membership.ts";
import { REPLICATION_MUTANTS } from "./replication.ts";
import { SERVICES } from "./services.ts";
import { SESSIONS } from "./sessions.ts";
import { TIME } from "./time.ts";

/** Every mutant there is; ids are unique. */
export const MUTANTS: readonly Mutant[] = [
  ...ELECTIONS,
  ...REPLICATION_MUTANTS,
  ...FLOW,
  ...MEMBERSHIP_MUTANTS,
  ...DISKS,
  ...SERVICES,
  ...SESSIONS,
  ...TIME,
];
