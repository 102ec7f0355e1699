package dev.looplease.benchmark;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/** The agent, asked over one kept connection. */
final class HttpContender implements Contender {

    private final String name;
    private final AgentProcess agent;
    private final String body;
    private @Nullable Client client;

    HttpContender(String name, AgentProcess agent, long imageBytes) {
        this.name = name;
        this.agent = agent;
        this.body = "{\"sizeBytes\":" + imageBytes + "}";
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public void run(int pairs, Pairs into) throws IOException {
        if (client == null) {
            // Not before it is used: the agent gives up on who connects and then says nothing.
            client = agent.connect();
        }
        for (int i = 0; i < pairs; i++) {
            long began = System.nanoTime();
            client.expect(201, "POST", "/loop-devices", body);
            long made = System.nanoTime();
            String path = "/loop-devices/" + client.text("id");
            long known = System.nanoTime();
            client.expect(204, "DELETE", path, null);
            into.add(made - began, System.nanoTime() - known);
        }
    }

    @Override
    public void close() throws IOException {
        if (client != null) {
            client.close();
        }
    }
}
