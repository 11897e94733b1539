import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { useEvents, useTopic } from "../../../examples/clients/tanstack-query.jsx";
import { mount } from "./mount.jsx";

const client = new QueryClient();

mount({ useEvents, useTopic }, ({ children }) => <QueryClientProvider client={client}>{children}</QueryClientProvider>);
