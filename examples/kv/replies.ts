/**
 * What the server answers when it cannot do what was asked.
 *
 * @module
 */
import {
  isRaftError,
  type ProposalOutcome,
  type RaftErrorCode,
} from "@balsa/raft";
import { messageOf } from "./exit.ts";

/** A refusal, with the HTTP answer it leads to. */
export class Problem extends Error {
  /** The HTTP status. */
  readonly status: number;
  /** The `code` of the body, for programs. */
  readonly code: string;
  /** Headers besides the content type. */
  readonly headers: Readonly<Record<string, string>>;

  /** Makes a refusal; `message` is for people. */
  constructor(
    status: number,
    code: string,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.name = "Problem";
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

const JSON_TYPE = "application/json";
const encoder = new TextEncoder();

/** `Retry-After` of what may pass: no leader, a start, too much at once. */
export const RETRY_AFTER_SECONDS = "1";

/** Statuses of library errors; the others are 503: wait and try again. */
const STATUS: Readonly<Partial<Record<RaftErrorCode, number>>> = {
  tooLarge: 413,
  invalidCommand: 400,
  invalidChange: 400,
  unknownMember: 400,
  removedMember: 409,
  conflict: 409,
  quorumAtRisk: 409,
  sessionExpired: 409,
  machineFailed: 500,
  invariantBroken: 500,
  storageFailed: 500,
  corrupt: 500,
};

/** A JSON answer. */
export function jsonResponse(
  body: unknown,
  init: { status?: number; headers?: Readonly<Record<string, string>> } = {},
): Response {
  return textResponse(JSON.stringify(body), JSON_TYPE, init);
}

/**
 * An answer in text. It says its length, so that the answer to a HEAD, which
 * goes out without the body, says it too.
 */
export function textResponse(
  text: string,
  type: string,
  init: { status?: number; headers?: Readonly<Record<string, string>> } = {},
): Response {
  const bytes = encoder.encode(text);
  return new Response(bytes, {
    status: init.status ?? 200,
    headers: {
      "content-type": type,
      "content-length": `${bytes.length}`,
      ...init.headers,
    },
  });
}

/** An error answer in the one form that all errors have. */
export function errorResponse(
  status: number,
  code: string,
  message: string,
  options: {
    readonly outcome?: ProposalOutcome | undefined;
    readonly headers?: Readonly<Record<string, string>> | undefined;
  } = {},
): Response {
  const { outcome, headers } = options;
  const error = outcome === undefined
    ? { code, message }
    : { code, message, outcome };
  return jsonResponse(
    { error },
    headers === undefined ? { status } : { status, headers },
  );
}

/**
 * The answer to a request that failed with `error`. For writes it says what
 * became of them: whatever is refused here was proposed to nobody, but for a
 * condition that does not hold, where the status says it all.
 */
export function failureResponse(error: unknown, method: string): Response {
  const isWrite = method === "PUT" || method === "DELETE";
  if (error instanceof Problem) {
    return errorResponse(error.status, error.code, error.message, {
      outcome: isWrite && error.status !== 412 ? "notAppended" : undefined,
      headers: error.headers,
    });
  }
  if (!isRaftError(error)) {
    return errorResponse(500, "internal", messageOf(error), {
      outcome: isWrite ? "unknown" : undefined,
    });
  }
  const status = STATUS[error.code] ?? 503;
  return errorResponse(status, error.code, error.message, {
    outcome: error.outcome,
    headers: status === 503
      ? { "retry-after": RETRY_AFTER_SECONDS }
      : undefined,
  });
}
