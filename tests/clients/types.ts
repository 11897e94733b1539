// What people write: `tsc` has to accept it, and to refuse what is marked.
import { connect, Refused } from "../../clients/realtime.js";

interface Order { order: string; cds: number }

const client = connect({ features: "https://shop.example/client.json", token: async ({ previous }) => ({ token: previous ?? "t", expires_in: 900 }) });
const orders = client.subscribe<Order>("orders", (event, cursor) => console.log(event.data.cds.toFixed(), event.at, cursor));
client.subscribe<Order>("orders", { onEvent: ({ data }) => console.log(data.order), onError: (error: Refused) => console.log(error.code) }, { recent: 10 });
const cursor: Promise<string> = client.publish("chat/lobby", "message", { text: "hi" }, { id: "1" });
console.log(orders.status.transport === "sse", cursor);
// @ts-expect-error: no such transport
client.cut("carrier pigeon");
// @ts-expect-error: a topic is a text
client.subscribe(1, () => {});
