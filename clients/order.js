/** Where a reader of one topic stands: of events that come twice, late or in any order, each is handed on once and in order. */

export const START = "0-0"; // the cursor of an empty topic
const MAX_HELD = 1_000; // events, the oldest; what does not fit comes with the next page

/** An event's own cursor, `<epoch>-<seq>`; an epoch has no dash. */
export const cursorOf = ({ epoch, seq }) => `${epoch}-${seq}`;

/** Whether a cursor is beyond another: further on, or in another life of the topic. */
export function ahead(cursor, other) {
  const [[epoch, seq], [otherEpoch, otherSeq]] = [cursor.split("-"), other.split("-")];
  return epoch !== otherEpoch || +seq > +otherSeq;
}

/** Whether nothing is missing between the cursor and the event: a topic's first event follows START, too. */
const follows = ({ epoch, prev }, cursor) => !ahead(prev, cursor) || (cursor === START && prev === `${epoch}-0`);

const bySeq = (a, b) => a.seq - b.seq;

export class Order {
  cursor; // everything up to here was handed on; null while there is no position
  #held = []; // events that cannot be handed on yet
  #onEvent; #onReset;

  /** `onEvent(event, cursor)` for each event; `onReset()` when the position is lost and the events begin anew. */
  constructor(cursor, onEvent, onReset) {
    [this.cursor, this.#onEvent, this.#onReset] = [cursor, onEvent, onReset];
  }

  /** Whether events wait for what comes before them. */
  get gap() {
    return this.#held.length > 0;
  }

  /** Events as they were pushed: hints, each with `prev`, the cursor that it follows. */
  push(events) {
    const all = [...this.#held, ...events].sort(bySeq);
    this.#held = [];
    for (const event of all) {
      const cursor = cursorOf(event);
      if (this.cursor && !ahead(cursor, this.cursor)) continue;
      if (this.cursor && follows(event, this.cursor)) {
        this.cursor = cursor;
        this.#onEvent(event, cursor);
      } else if (this.#held.length < MAX_HELD) this.#held.push(event); // without a position, wait for a page: it may be newer
    }
  }

  /**
   * The answer to a read: the `events` that follow `after` (null: a read without a position), up to `cursor`. `recovered`
   * false: `after` could not be honoured. What answers somebody else's read is no more than events that were pushed.
   */
  page({ after, cursor, recovered, events = [] }) {
    if (after && after === this.cursor && !(recovered && after === START)) {
      this.#held = this.#held.filter(({ epoch }) => cursor?.startsWith(`${epoch}-`)); // others are of a life before
      if (!recovered) {
        this.cursor = cursor;
        this.#onReset();
      }
    }
    if (!this.cursor && !after && cursor) {
      const oldest = [...this.#held, ...events].sort(bySeq).find((event) => !ahead(cursorOf(event), cursor));
      this.cursor = oldest?.prev ?? cursor;
    }
    this.push(events);
  }
}
