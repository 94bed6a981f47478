#!/usr/bin/env bash
# What the tests of tests/services stand on: installed where this is root on
# Debian, and said out loud where it is missing all the same.

set -euo pipefail

# program and the Debian package that brings it
missing_packages() {
  command -v beanstalkd >/dev/null || echo beanstalkd
  command -v java >/dev/null || echo default-jre-headless
  command -v mvn >/dev/null || echo maven
}

missing="$(missing_packages)"
if [[ -n "$missing" ]]; then
  echo "== packages missing for the services:" $missing
  if command -v apt-get >/dev/null && [[ "$(id -u)" == 0 ]]; then
    # RUNLEVEL=1 keeps the package from starting a beanstalkd of its own.
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    log="$(mktemp)"
    if ! { timeout 180 apt-get update -qq &&
        timeout 600 apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
      tail -n 20 "$log"
      echo "!! installing them FAILED"
    fi
    rm -f "$log"
  else
    echo "!! not root on Debian: they are not installed"
  fi
fi
command -v beanstalkd >/dev/null || echo "!! no beanstalkd on PATH: DQ WILL NOT BE TESTED WITH REAL NODES"
command -v java >/dev/null || echo "!! no java on PATH: KQ WILL NOT BE TESTED WITH A REAL KAFKA"
command -v mvn >/dev/null || echo "!! no mvn on PATH: KQ WILL NOT BE TESTED WITH A REAL KAFKA, unless its jars were fetched before"
command -v go >/dev/null || echo "!! no go on PATH: NOTHING WILL BE TESTED WITH GO-QUEUE (go 1.24 or newer)"
