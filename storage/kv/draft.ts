/**
 * What is known of a snapshot that came half-way, so that it can be gone on
 * with. See `rows.ts` for the format.
 *
 * @module
 */
import {
  confStateFromArray,
  confStateToArray,
  decodeCbor,
  encodePlainCbor,
} from "../../src/codec.ts";
import type { SnapshotMeta } from "../../src/core/types.ts";
import { isSameBytes } from "./bytes.ts";

/** A snapshot that came half-way. */
export interface Draft {
  /** Under which its pieces are stored. */
  readonly id: number;
  /** Names the very bytes. */
  readonly token: string;
  readonly pieceBytes: number;
  readonly meta: SnapshotMeta;
}

/** The body of a draft row. */
export function encodeDraft(
  { id, token, pieceBytes, meta }: Draft,
): Uint8Array {
  const { index, term, conf } = meta;
  const parts = [id, token, pieceBytes, index, term, confStateToArray(conf)];
  return encodePlainCbor(parts);
}

/** The inverse of {@linkcode encodeDraft}; `undefined` if it is none. */
export function decodeDraft(body: Uint8Array): Draft | undefined {
  const value: unknown = decodeCbor(body);
  if (!Array.isArray(value)) return undefined;
  const [id, token, pieceBytes, index, term, conf]: unknown[] = value;
  if (
    typeof id !== "number" || typeof token !== "string" ||
    typeof pieceBytes !== "number" || typeof index !== "number" ||
    typeof term !== "number"
  ) return undefined;
  const meta = { index, term, conf: confStateFromArray(conf) };
  return { id, token, pieceBytes, meta };
}

/** Whether a draft is of the same bytes and says the same of them. */
export function isDraftOf(
  draft: Draft,
  wanted: { readonly token: string; readonly meta: SnapshotMeta },
): boolean {
  return isSameBytes(
    encodeDraft(draft),
    encodeDraft({ ...draft, token: wanted.token, meta: wanted.meta }),
  );
}
