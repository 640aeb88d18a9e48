/**
 * The one-call form.
 *
 * @module
 */
import type { GroupOptions, RaftHostOptions } from "./options.ts";
import type { RaftGroup } from "./raft_group.ts";
import { RaftHost } from "./raft_host.ts";

/**
 * Starts a host with one group. Stopping the group stops the host with its
 * transport and storage.
 *
 * @throws {TypeError | RangeError} If an option is wrong.
 * @throws {RaftError} As `RaftHost.start` and `RaftHost.startGroup`.
 */
export async function startNode<C, R, Q, A>(
  options: RaftHostOptions & GroupOptions<C, R, Q, A>,
): Promise<RaftGroup<C, R, Q, A>> {
  const host = await RaftHost.start(options);
  try {
    return await host.startGroup({ ...options, stopsHost: true });
  } catch (error) {
    await host.stop();
    throw error;
  }
}
