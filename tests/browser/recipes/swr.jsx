import { SWRConfig } from "swr";
import { useEvents, useTopic } from "../../../examples/clients/swr.jsx";
import { mount } from "./mount.jsx";

const useList = (topic, token) => ({ data: useEvents(topic, token).data?.events });

mount({ useEvents: useList, useTopic }, SWRConfig);
