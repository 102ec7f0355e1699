#!/usr/bin/env bash
# Prepares the executable jar, so that the agent starts in a fraction of the time and with less memory:
#   unpack  takes it apart and lets Spring work out its beans in advance (needs a JDK);
#   train   makes an AOT cache (JEP 483, 514, 515) for the Java that runs this, and that directory; with any other, Java
#           says so and goes on without it.
#
# Usage: packaging/prepare.sh JAR DIRECTORY          both
#        packaging/prepare.sh unpack JAR DIRECTORY
#        packaging/prepare.sh train DIRECTORY
#        packaging/prepare.sh beans CLASSPATH DIRECTORY   only the classes that Spring works out; for tests
# Then:  java @DIRECTORY/java.options -jar DIRECTORY/looplease.jar
set -euo pipefail

bin=${JAVA_HOME:+$JAVA_HOME/bin/}
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

unpack() {
  local jar=$1 to=$2
  cp -p "$jar" "$scratch/looplease.jar"
  "${bin}java" -Djarmode=tools -jar "$scratch/looplease.jar" extract --force --destination "$to"
  beans "$to/looplease.jar:$to/lib/*" "$scratch/beans"
  "${bin}jar" --update --file "$to/looplease.jar" -C "$scratch/beans" .
}

# Classes that make the beans of the agent on that class path.
beans() {
  local path=$1 to=$2
  mkdir -p "$scratch/aot" "$to"
  "${bin}java" -cp "$path" org.springframework.boot.SpringApplicationAotProcessor dev.looplease.LoopleaseApplication \
    "$scratch/aot" "$to" "$to" dev.looplease looplease > "$scratch/log" 2>&1 \
    || { cat "$scratch/log" >&2; return 1; }
  find "$scratch/aot" -name '*.java' > "$scratch/sources"
  "${bin}javac" -nowarn -proc:none -parameters -d "$to" -cp "$path" "@$scratch/sources"
}

train() {
  local to=$1 agent port i made lease id
  cp "$here/java.options" "$to/java.options"
  # Some requests as clients send them. They may fail where there are no loop devices, as in the build of an image: what the
  # cache remembers is the classes, and which methods are worth compiling at once. C1 alone, and counting (level 2): a method
  # that has level 1 in the cache never gets a better one, which makes every later request a third slower; with all levels
  # C2 has so much to do at the start that it takes half as long again.
  SERVER_PORT=0 LOOPLEASE_STATE_DIR="$scratch/state" LOOPLEASE_ON_SHUTDOWN=release LOGGING_STRUCTURED_FORMAT_CONSOLE=ecs \
    LOOPLEASE_PREPARED_NODES=0 "${bin}java" "@$to/java.options" -XX:TieredStopAtLevel=2 -XX:AOTCacheOutput="$to/looplease.aot" \
    -jar "$to/looplease.jar" > "$scratch/log" 2>&1 &
  agent=$!

  port=
  for ((i = 0; i < 600 && ${#port} == 0; i++)); do
    kill -0 "$agent" 2> /dev/null || break
    sleep 0.1
    port=$(sed -n 's/.*Tomcat started on port \([0-9]*\).*/\1/p' "$scratch/log" | head -n 1)
  done
  if [ -z "$port" ]; then
    cat "$scratch/log" >&2
    return 1
  fi

  for ((i = 0; i < 100; i++)); do
    [[ $(ask GET /readyz '') != *' 503'* ]] || { sleep 0.1; continue; }
    break
  done
  for ((i = 0; i < 20; i++)); do
    made=$(ask POST /loop-devices '{"sizeMb": 1, "labels": {"a": "b"}}')
    lease=$(sed -n 's/.*"lease":{"id":"\([a-z0-9]*\)".*/\1/p' <<< "$made")
    id=$(sed -n 's/.*{"id":"\([a-z0-9]*\)","name".*/\1/p' <<< "$made")
    ask GET "/loop-devices/${id:-loop0}" '' > /dev/null
    ask GET '/loop-devices?pageSize=10' '' > /dev/null
    ask POST "/leases/${lease:-none}/renew" '{"ttlSeconds": 60}' > /dev/null
    ask DELETE "/loop-devices/${id:-none}" '' > /dev/null
  done
  ask GET /actuator/prometheus '' > /dev/null
  kill "$agent"
  wait "$agent" || true

  if [ -s "$to/looplease.aot" ]; then
    echo "-XX:AOTCache=$to/looplease.aot" >> "$to/java.options"
  else
    cat "$scratch/log" >&2
    return 1
  fi
}

# ask METHOD PATH [JSON]: prints the answer.
ask() {
  local token=
  [ ! -e "$scratch/state/token" ] || token=$(< "$scratch/state/token")
  exec 3<> "/dev/tcp/127.0.0.1/$port"
  printf '%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
    "$1" "$2" "$token" "${#3}" "$3" >&3
  cat <&3
  exec 3>&-
}

case $1 in
  unpack) unpack "$2" "$3" ;;
  beans) beans "$2" "$3" ;;
  train) train "$(cd "$2" && pwd)" ;;
  *)
    unpack "$1" "$2"
    train "$(cd "$2" && pwd)"
    ;;
esac
