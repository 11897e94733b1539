/** Topics by polling, with SWR: `const { data: event } = useTopic("metrics")`. Take poll.js along. */

import useSWR, { useSWRConfig } from "swr";
import { follow, poll, retryMs } from "./poll.js";

const waits = new Map(); // ms until the next poll, by key: part of the data, each poll would be a render

const POLLED = {
  // The same function for every render: another one starts the pause anew.
  refreshInterval: (data) => waits.get(data?.topic) ?? 500,
  dedupingInterval: 500,
  onErrorRetry: (error, key, config, revalidate, { retryCount }) => setTimeout(revalidate, retryMs(retryCount - 1, error), { retryCount }),
};

/** The newest event of a topic with keep = "latest". A component that reads `data` alone is rendered when there is a newer one. */
export const useTopic = (topic, token) =>
  useSWR(`/topics/${topic}`, async (path) => {
    const { body, waitMs } = await poll(path, token);
    waits.set(topic, waitMs);
    return body;
  }, POLLED);

/** The events of a topic with keep = "all", each once and in order: `data.events`. */
export function useEvents(topic, token) {
  const { cache } = useSWRConfig();
  return useSWR(`/topics/${topic}?after`, async (key) => {
    const { waitMs, ...data } = await follow(topic, token, cache.get(key)?.data);
    waits.set(topic, waitMs);
    return data;
  }, POLLED);
}
