/** What the React recipes are mounted into: `window.show(hook, topic, token)` begins, `window.renders` has what each render was given. */

import { useState } from "react";
import { createRoot } from "react-dom/client";

window.renders = [];

function Shown({ hook, topic, token }) {
  const { data } = hook(topic, token);
  const [, again] = useState(0);
  window.render = () => again((n) => n + 1);
  window.renders.push(data);
  return <output>{JSON.stringify(data)}</output>;
}

export function mount(hooks, Around) {
  const root = createRoot(document.getElementById("root"));
  window.show = (hook, topic, token) => root.render(<Around><Shown hook={hooks[hook]} topic={topic} token={token} /></Around>);
}
