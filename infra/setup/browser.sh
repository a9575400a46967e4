#!/bin/sh
# The browser tests need Chromium. CI installs Debian's; elsewhere its absence is said, and those tests are skipped.
command -v chromium >/dev/null 2>&1 && exit 0
if [ "${CI:-}" = true ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && apt-get install -y -qq chromium >/dev/null && exit 0
fi
echo "note: no chromium on the PATH; the browser tests will be skipped"
