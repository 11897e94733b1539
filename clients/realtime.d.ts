/** Types of realtime.js. */

export type Transport = "websocket" | "sse" | "polling";

/** What client.json says of a deployment. URLs that begin with a slash, or are empty, are of the origin of client.json itself. */
export interface Deployment {
  http: string;
  websocket?: string;
  /** `ticket`: a token in a header does not get through, so that a ticket goes into the URL. */
  sse?: Partial<Record<"service" | "lambda", { url: string; ticket?: boolean }>>;
  features: Record<string, Feature>;
}

export interface Feature {
  pattern: Transport | "fallback";
  host?: "service" | "lambda";
  /** Reading needs no token. */
  public: boolean;
  keep: "all" | "latest";
  /** Seconds between polls, where the server advises nothing else. */
  interval?: number;
}

export interface Event<Data = unknown> {
  topic: string;
  /** 1, 2, 3 ... within a topic and epoch. */
  seq: number;
  epoch: string;
  type: string;
  data: Data;
  /** RFC 3339, UTC, with milliseconds. */
  at: string;
}

/** `refused` is for good: `onError` has said why. */
export interface Status {
  state: "connecting" | "live" | "retrying" | "offline" | "refused" | "closed";
  transport: Transport | null;
  /** Why it is not live, or not by the best transport; empty where all is well. */
  problem: string;
  /** Milliseconds from the newest event's `at` to its delivery, as far as both clocks agree. */
  latency: number | null;
  cursor: string | null;
  /** Events since the subscription. */
  received: number;
}

export interface Handlers<Data = unknown> {
  /** Each event once and in order. The cursor is what `after` takes. */
  onEvent?(event: Event<Data>, cursor: string): void;
  /** Events were lost to this subscription (too old, or the log is a new one): load your state anew; what follows comes. */
  onReset?(): void;
  onStatus?(status: Status): void;
  /** The subscription is refused for good. */
  onError?(error: Refused): void;
}

export interface Start {
  /** Everything up to here is known. Without it: from now on; where a topic keeps only its newest event, with that. */
  after?: string;
  /** Without `after`: the newest events to begin with, 0 to 100. */
  recent?: number;
}

export interface Subscription {
  readonly topic: string;
  readonly status: Status;
  readonly cursor: string | null;
  close(): void;
}

type Token = string | { token: string; expires_in?: number };

export interface Options {
  /** URL of client.json, or what is in it; "/client.json" by default. */
  features?: string | Deployment;
  /** A token, or how to get one; `previous` is the one before. Asked for in good time, again and again. */
  token?: Token | ((before: { previous?: string }) => Token | Promise<Token>);
  /** One connection for all tabs of the same `sub`; true where the browser can. */
  tabs?: boolean;
  /** Milliseconds after which, while no tab is seen, connections are dropped and polls come once a minute; 30,000, Infinity for never. */
  hiddenAfter?: number;
}

export interface Client {
  subscribe<Data = unknown>(topic: string, handler: Handlers<Data> | NonNullable<Handlers<Data>["onEvent"]>, start?: Start): Subscription;
  /**
   * Resolves to the event's cursor. Sent again with the same id until it is acknowledged, for four minutes; those of a topic one
   * after the other, at most 100 waiting. Rejects with `Refused`, or an Error that says what is unknown.
   */
  publish(topic: string, type: string, data: unknown, how?: { id?: string }): Promise<string>;
  /** For demonstrations and tests: that transport fails, in all tabs, until it is given back. */
  cut(transport: Transport, isCut?: boolean): void;
  /** Whether this tab has the connections; the others get what comes from it. */
  readonly leads: boolean;
  close(): void;
}

/** `code`: a name of docs/errors.md. */
export class Refused extends Error {
  code?: string;
  status?: number;
  /** Seconds; 0 where nothing was said. */
  retryAfter: number;
  get final(): boolean;
}

export function connect(options?: Options): Client;
