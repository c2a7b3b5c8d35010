#!/usr/bin/env bash
# Installs what the tests talk to: servers (Debian packages), clients (PyPI, npm), the Rust target of the adapters.
# Looks first and installs only what is missing, so a second run takes about a second.
#
# Clients go to $TIDEGATE_TEST_CACHE, or else tidegate/test-env in the user's cache folder. Only apt-get needs root (sudo is used).
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${TIDEGATE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate/test-env}"

say() { printf 'setup: %s\n' "$*"; }
stop() { printf 'setup: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
found() { PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "$1" >/dev/null 2>&1; }

# Debian's server packages start a service where there is a service manager. The tests run servers of their own, so none is
# wanted: for the time of the install, policy-rc.d says so.
install_packages() {
    found apt-get || stop "not found: $*. They are packages of Debian; install them in your system's way"
    say "installing $*"
    local policy=/usr/sbin/policy-rc.d ours=no status=0
    if [ ! -e "$policy" ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    { as_root apt-get update -q && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"; } || status=$?
    [ "$ours" = no ] || as_root rm -f "$policy"
    [ "$status" = 0 ] || stop "apt-get could not install $*"
}

missing=()
need() { found "$1" || missing+=("$2"); }
need prometheus prometheus
need promtool prometheus
need influxd influxdb
need victoria-metrics victoria-metrics
need carbon-cache graphite-carbon
need carbon-c-relay carbon-c-relay
need prometheus-pushgateway prometheus-pushgateway
need collectd collectd-core
need json_verify yajl-tools
need openssl openssl
need minisign minisign
need go golang-go
# No programs: a module of Debian's own Python, which another python3 in the path does not see, and sources for Go.
/usr/bin/python3 -c 'import graphite, django' 2>/dev/null || missing+=(graphite-web)
circonus_client=/usr/share/gocode/src/github.com/circonus-labs/circonus-gometrics
[ -d "$circonus_client" ] || missing+=(golang-github-circonus-labs-circonus-gometrics-dev)
need node nodejs
need npm npm
need chromium chromium
need cc gcc
need python3 python3
# The module exists on Debian without the part that makes an environment usable.
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ "${#missing[@]}" -gt 0 ]; then
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    install_packages "${missing[@]}"
fi

# The toolchain that rust-toolchain.toml names, with the target of the adapters.
if ! rustc --version >/dev/null 2>&1; then
    found rustup || stop "Rust is not installed; get it from your system or with rustup"
    channel="$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)"
    say "installing Rust $channel"
    rustup toolchain install "$channel" --profile minimal --component rustfmt --component clippy
fi
# The second target is for adapters that expect a system.
for target in wasm32-unknown-unknown wasm32-wasip2; do
    if [ ! -d "$(rustc --print target-libdir --target "$target")" ]; then
        found rustup || stop "the target is missing; install it with: rustup target add $target"
        say "adding the target $target"
        rustup target add "$target"
    fi
done
for tool in rustfmt clippy; do
    if ! cargo "${tool/rustfmt/fmt}" --version >/dev/null 2>&1; then
        say "adding $tool"
        rustup component add "$tool"
    fi
done

# An environment is made anew when the list of what it must hold has changed, or when it does not work any more.
current() { [ -f "$1/made-from" ] && cmp -s "$2" "$1/made-from"; }

python="$cache/python" wanted=tests/clients/python/requirements.txt
if ! current "$python" "$wanted" || ! "$python/bin/python" -c 'import backtracepython, datadog_api_client, duckdb, line_protocol_parser, numpy, openapi_spec_validator, opentelemetry.proto, polars, prometheus_client, schemathesis' 2>/dev/null; then
    say "making the Python environment in $python"
    rm -rf "$python"
    mkdir -p "$cache"
    python3 -m venv "$python"
    "$python/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$python/made-from"
fi

node="$cache/node" wanted=tests/clients/node/package-lock.json
if ! current "$node" "$wanted" || [ ! -f "$node/node_modules/@backtrace/node/package.json" ]; then
    say "making the Node environment in $node"
    rm -rf "$node"
    mkdir -p "$node"
    cp tests/clients/node/package.json tests/clients/node/package-lock.json "$node/"
    npm ci --prefix "$node" --ignore-scripts --no-audit --no-fund --loglevel=error
    cp "$wanted" "$node/made-from"
fi

# What makes adapters of Python and of JavaScript, in the versions that their templates name.
componentize="$cache/componentize-py" wanted=sdk/templates/lines-python/requirements.txt
if ! current "$componentize" "$wanted" || [ ! -x "$componentize/bin/componentize-py" ]; then
    say "installing componentize-py in $componentize"
    rm -rf "$componentize"
    mkdir -p "$cache"
    python3 -m venv "$componentize"
    "$componentize/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$componentize/made-from"
fi

componentize="$cache/componentize-js" wanted=sdk/templates/lines-js/package-lock.json
if ! current "$componentize" "$wanted" || [ ! -f "$componentize/node_modules/@bytecodealliance/componentize-js/package.json" ]; then
    say "installing componentize-js in $componentize"
    rm -rf "$componentize"
    mkdir -p "$componentize"
    cp sdk/templates/lines-js/package.json "$wanted" "$componentize/"
    npm ci --prefix "$componentize" --ignore-scripts --no-audit --no-fund --loglevel=error
    cp "$wanted" "$componentize/made-from"
fi

# What drives Chromium, which is Debian's: no browser is downloaded.
browser="$cache/browser" wanted=tests/clients/browser/package-lock.json
if ! current "$browser" "$wanted" || [ ! -f "$browser/node_modules/playwright-core/package.json" ]; then
    say "making the environment of the browser tests in $browser"
    rm -rf "$browser"
    mkdir -p "$browser"
    cp tests/clients/browser/package.json tests/clients/browser/package-lock.json "$browser/"
    npm ci --prefix "$browser" --ignore-scripts --no-audit --no-fund --loglevel=error
    cp "$wanted" "$browser/made-from"
fi

# Circonus' own client, as a program: built from Debian's sources alone, without a look at the network.
circonus="$cache/circonus" wanted=tests/clients/circonus/producer.go
if ! current "$circonus" "$wanted" || [ ! -x "$circonus/producer" ]; then
    say "building Circonus' own client in $circonus"
    rm -rf "$circonus"
    mkdir -p "$circonus"
    GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE="$cache/go-build" GOFLAGS= go build -o "$circonus/producer" "$wanted"
    cp "$wanted" "$circonus/made-from"
fi

say "everything is there"
