/** `node eventsource.mjs URL TOKEN`: the npm package `eventsource`, as a backend would use it; a line for each event. */

import { EventSource } from "eventsource";

const [url, token] = process.argv.slice(2);
const withToken = (input, init) => fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } });
const source = new EventSource(url, { fetch: withToken });
source.addEventListener("open", () => console.log("open"));
source.addEventListener("n", ({ data }) => console.log(`${JSON.parse(data).data} ${Date.now()}`));
