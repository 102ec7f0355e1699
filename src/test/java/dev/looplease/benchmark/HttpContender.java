package dev.looplease.benchmark;

import java.io.IOException;

/** The agent, asked over one kept connection. */
final class HttpContender implements Contender {

    private final String name;
    private final Client client;
    private final String body;

    HttpContender(String name, AgentProcess agent, long imageBytes) throws IOException {
        this.name = name;
        this.client = agent.connect();
        this.body = "{\"sizeBytes\":" + imageBytes + "}";
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public void run(int pairs, Pairs into) throws IOException {
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
        client.close();
    }
}
