/**
 * A channel over the bodies of one request and its response.
 *
 * @module
 */
import type { ByteChannel, RefusalCode } from "../link/channel.ts";
import { CONTENT_TYPE, STATUS_OF } from "./streams.ts";

/** The server's end of a long `POST`, whatever server it is. */
export class FetchChannel implements ByteChannel {
  /** Requests do not say who sent them. */
  readonly remote = "http";
  /** Resolves with the answer to the hello, or a bare refusal. */
  readonly response: Promise<Response>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #respond: (response: Response) => void = () => {};
  #sink: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Resolves the write under way once the body was pulled again. */
  #pulled: (() => void) | undefined;
  #destroyed = false;

  /** Takes the request's body over. */
  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader();
    this.response = new Promise((resolve) => {
      this.#respond = resolve;
    });
  }

  async read(): Promise<Uint8Array | null> {
    const { done, value } = await this.#reader.read();
    if (this.#destroyed) throw new Error("Cannot read: it was destroyed");
    return done ? null : value;
  }

  write(bytes: Uint8Array): Promise<void> {
    const sink = this.#sink;
    if (this.#destroyed || sink === undefined) {
      return Promise.reject(new Error("Cannot write: there is no response"));
    }
    return new Promise((resolve) => {
      this.#pulled = resolve;
      // The stream keeps what it is given until it is sent.
      sink.enqueue(bytes.slice());
    });
  }

  async answer(frame: Uint8Array, refusal: RefusalCode | null): Promise<void> {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#sink = controller;
      },
      pull: () => {
        this.#pulled?.();
        this.#pulled = undefined;
      },
      cancel: () => this.destroy(),
    });
    this.#respond(
      new Response(body, {
        status: refusal === null ? 200 : STATUS_OF[refusal],
        headers: { "content-type": CONTENT_TYPE },
      }),
    );
    await this.write(frame);
    if (refusal !== null) await this.end();
  }

  end(): Promise<void> {
    this.destroy();
    return Promise.resolve();
  }

  /**
   * Ends both bodies. The response is closed, not made to fail: the peer takes
   * an end for what it is, and servers would log the failure as their own.
   */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    try {
      this.#sink?.close();
    } catch {
      // The client cancelled it.
    }
    this.#respond(new Response(null, { status: 408 }));
    this.#pulled?.();
    this.#pulled = undefined;
    this.#reader.cancel().catch(() => {});
  }
}
