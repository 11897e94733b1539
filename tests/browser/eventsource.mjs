// `node eventsource.mjs URL TOKEN`: npm's EventSource on a stream; prints a line of JSON for all that it hears.
import { EventSource } from "eventsource"

const [url, token] = process.argv.slice(2)
const authorized = (input, init) => fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } })
const source = new EventSource(url, { fetch: authorized })
for (const type of ["open", "error", "note", "reset", "reconnect"])
  source.addEventListener(type, ({ lastEventId, data }) =>
    console.log(JSON.stringify({ type, at: Date.now() / 1000, id: lastEventId, data: data ?? String(source.readyState) })))
setInterval(() => {}, 1e9) // its own timer, after which it comes back, does not keep Node.js from ending
