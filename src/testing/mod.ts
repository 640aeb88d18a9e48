/**
 * The contracts of Balsa as test cases: run them on a storage, a transport or
 * a state machine of your own, with whatever test runner you use.
 *
 * @module
 */
export {
  type MachineCase,
  machineCases,
  type MachineSuiteOptions,
} from "./machine_suite.ts";
export {
  type StorageCase,
  storageCases,
  type StorageSuiteOptions,
} from "./storage_suite.ts";
export type { StorageUnderTest } from "./storage_bench.ts";
export {
  type RawPeer,
  type TransportCase,
  transportCases,
  type TransportSetup,
  type TransportSuiteOptions,
} from "./transport_suite.ts";
export type {
  Applied,
  Schema,
  SnapshotSource,
  StateMachine,
} from "../state_machine.ts";
export type { Flavor, LogIndex, Term } from "../core/types.ts";
