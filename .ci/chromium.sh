#!/usr/bin/env bash
# Debian's Chromium for the tests of the report's page. Does nothing where one is installed.
set -euo pipefail
command -v chromium >/dev/null && exit 0
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends chromium >/dev/null
