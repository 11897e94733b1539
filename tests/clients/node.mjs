// `node node.mjs URL TOPIC TOKEN COUNT`: prints the numbers of that many events, and by which transport.
import { connect } from "../../clients/realtime.js";

const [url, topic, token, count] = process.argv.slice(2);
const client = connect({ features: `${url}/client.json`, token });
const got = [];
const subscription = client.subscribe(topic, ({ data }) => {
  got.push(data.n);
  if (got.length < Number(count)) return;
  console.log(JSON.stringify({ got, transport: subscription.status.transport }));
  client.close();
}, { recent: 100 });
