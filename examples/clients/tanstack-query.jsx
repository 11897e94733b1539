/** Topics by polling, with TanStack Query: `const { data: event } = useTopic("metrics")`. Take poll.js along. */

import { useQuery } from "@tanstack/react-query";
import { follow, poll, retryMs } from "./poll.js";

const POLLED = {
  // Drawn once for each answer: what is drawn in here would start the pause anew with each render.
  refetchInterval: ({ state }) => state.error?.waitMs || state.data?.waitMs || 5_000,
  refetchIntervalInBackground: false,
  retry: (failures, error) => failures < 5 && !error.final, // then it goes on with the interval
  retryDelay: retryMs,
};

/** The newest event of a topic with keep = "latest". A component that reads `data` alone is rendered when there is a newer one. */
export const useTopic = (topic, token) =>
  useQuery({
    ...POLLED,
    queryKey: ["topic", topic], // not the token: a new one would forget what is shown. Clear the client when somebody signs out.
    queryFn: ({ signal }) => poll(`/topics/${topic}`, token, signal),
    select: ({ body }) => body,
  });

/** The events of a topic with keep = "all", each once and in order. */
export const useEvents = (topic, token) =>
  useQuery({
    ...POLLED,
    queryKey: ["events", topic],
    queryFn: ({ client, queryKey, signal }) => follow(topic, token, client.getQueryData(queryKey), signal),
    select: ({ events }) => events,
  });
