/** A page of one subscription that writes down what happens to it. The query says of what; `login` is the test's, if it gave one. */

import { connect } from "/clients/realtime.js";

const asked = new URLSearchParams(location.search);
const token = window.login ?? asked.get("token");

/**
 * `got`: each event's number; `losses`: ms from the notice of a loss to the first event by whatever transport came next, or from
 * `back`, when the test made it possible again that something comes.
 */
const record = (window.record = { got: [], resets: 0, errors: [], transports: [], losses: [], back: 0 });
let lostAt = null;

window.client = connect({ token, tabs: asked.has("tabs"), hiddenAfter: Number(asked.get("hiddenAfter") ?? 30_000) });
window.subscription = client.subscribe(asked.get("topic"), {
  onEvent({ data }) {
    record.got.push(data.n);
    if (lostAt !== null) record.losses.push([Math.round(performance.now() - Math.max(lostAt, record.back)), subscription.status.transport]);
    lostAt = null;
  },
  onReset: () => { record.resets += 1; },
  onError: ({ message }) => record.errors.push(message),
  onStatus({ transport, state, problem }) {
    const last = record.transports.at(-1);
    if (last !== transport) record.transports.push(transport);
    if (last && !transport && state !== "closed") lostAt = performance.now();
  },
}, { recent: Number(asked.get("recent") ?? 0), ...(asked.has("after") && { after: asked.get("after") }) });
