// Reads scripts of pushes and pages, a JSON array a line, and answers with what the Order of realtime.js handed on, and where it stands.
import { createInterface } from "node:readline";
import { Order } from "../../clients/order.js";

for await (const line of createInterface({ input: process.stdin })) {
  const told = [];
  const order = new Order(null, (_, cursor) => told.push(cursor), () => told.push("reset"));
  for (const [feed, what] of JSON.parse(line)) order[feed](what);
  console.log(JSON.stringify({ told, cursor: order.cursor }));
}
