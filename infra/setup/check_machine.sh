#!/bin/sh
# Names everything this machine lacks, all at once, and fails where something is missing.
missing=0
say() {
    echo "missing: $1" >&2
    missing=1
}
sh "$(dirname "$0")/find_python.sh" >/dev/null || say "Python 3.11 or newer (python3 on the PATH)"
if command -v java >/dev/null 2>&1; then
    major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${major:-0}" -ge 17 ] || say "Java 17 or newer (java on the PATH is ${major:-unknown})"
else
    say "Java 17 or newer (a JRE is enough; java on the PATH)"
fi
command -v mvn >/dev/null 2>&1 || say "Maven (mvn on the PATH), which fetches the local Kafka"
[ "$missing" -eq 0 ] || echo "Install what is missing and run make again." >&2
exit "$missing"
