/** Where a reader of one topic stands: of events that come twice, late or in any order, each is handed on once and in order. */

export const START = "0-0"; // the cursor of an empty topic
const MAX_HELD = 1_000; // events; where there are more, all of them come again with the next page

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
  #held = new Map(); // cursor -> event that cannot be handed on yet
  #onEvent; #onReset;

  /** `onEvent(event, cursor)` for each event; `onReset()` when the position is lost and the events begin anew. */
  constructor(cursor, onEvent, onReset) {
    [this.cursor, this.#onEvent, this.#onReset] = [cursor, onEvent, onReset];
  }

  /** Whether events wait for what comes before them. */
  get gap() {
    return this.#held.size > 0;
  }

  /** Events as they were pushed: hints, each with `prev`, the cursor that it follows. */
  push(events) {
    if (this.#held.size > MAX_HELD) this.#held.clear();
    for (const event of events) this.#held.set(cursorOf(event), event);
    if (!this.cursor) return; // wait for a page: these may be newer
    for (const event of [...this.#held.values()].sort(bySeq)) {
      const cursor = cursorOf(event);
      const isNew = ahead(cursor, this.cursor);
      if (isNew && !follows(event, this.cursor)) continue;
      this.#held.delete(cursor);
      if (isNew) {
        this.cursor = cursor;
        this.#onEvent(event, cursor);
      }
    }
  }

  /**
   * The answer to a read: the `events` that follow `after` (null: a read without a position), up to `cursor`. `recovered`
   * false: `after` could not be honoured. What answers somebody else's read is no more than events that were pushed.
   */
  page({ after, cursor, recovered, events = [] }) {
    if (after && after === this.cursor && !(recovered && after === START)) {
      for (const [held, { epoch }] of this.#held) if (!cursor?.startsWith(`${epoch}-`)) this.#held.delete(held); // of a life before
      if (!recovered) {
        this.cursor = cursor;
        this.#onReset();
      }
    }
    if (this.cursor || after || !cursor) return this.push(events);
    for (const event of events) this.#held.set(cursorOf(event), event);
    const oldest = [...this.#held.values()].sort(bySeq).find((event) => !ahead(cursorOf(event), cursor));
    this.cursor = oldest?.prev ?? cursor;
    this.push([]);
  }
}
