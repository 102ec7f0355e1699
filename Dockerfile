# docker build -t looplease .
# How to run it, and why it needs what it needs: README.md, "In a container".

FROM maven:3-eclipse-temurin-25 AS build
WORKDIR /src
COPY . .
# Unpacked, the agent starts sooner, and its libraries, which seldom change, are a layer of their own.
RUN --mount=type=cache,target=/root/.m2 \
    mvn --batch-mode --quiet package -DskipTests \
 && packaging/prepare.sh unpack target/looplease-*.jar /app

FROM eclipse-temurin:25-jre
# losetup is in mount; dmsetup and mdadm take down what stands on a device whose lease has ended.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends util-linux mount dmsetup mdadm \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /app/lib /opt/looplease/lib
COPY --from=build /app/looplease.jar /opt/looplease/
# Here, because an AOT cache holds for one Java, and for files at their place.
RUN --mount=type=bind,from=build,source=/src/packaging,target=/packaging \
    /packaging/prepare.sh train /opt/looplease

ENV LOGGING_STRUCTURED_FORMAT_CONSOLE=ecs
VOLUME /var/lib/looplease
STOPSIGNAL SIGTERM
# The agent listens on the host's loopback address (--network host), so there is no port to expose.

# Bash alone: an HTTP client in the image, or a second Java every ten seconds, would cost more than the agent idles at.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["bash", "-c", "\
exec 3<>/dev/tcp/${SERVER_ADDRESS:-127.0.0.1}/${SERVER_PORT:-8080} && \
printf 'GET /readyz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && \
read -r status <&3 && [[ $status == *' 200'* ]]"]

# More flags: -e JDK_JAVA_OPTIONS=…
ENTRYPOINT ["java", "@/opt/looplease/java.options", "-jar", "/opt/looplease/looplease.jar"]
