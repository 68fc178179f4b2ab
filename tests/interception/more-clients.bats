#!/usr/bin/env bats
# As real-clients.bats, with clients that take long to install or to build: packages of npm, crates,
# Go and Maven, other JavaScript runtimes, and a browser.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/registry.sh"
source "$ROOT/tests/lib/more_clients.sh"

# NAME, ways (registry.sh), COMMAND
# shellcheck disable=SC2034 # for registry.sh
ROWS=$(
  cat <<'EOF'
axios             v  node $STAGE/node/packages.mjs axios $U/
undici            v  node $STAGE/node/packages.mjs undici $U/
ws                v  node $STAGE/node/packages.mjs ws $U/
grpc-js           v  node $STAGE/node/packages.mjs grpc-js $U/
openai            v  node $STAGE/node/packages.mjs openai $U/ $MODEL $ARRIVED/$MODEL && echo demo
anthropic         v  node $STAGE/node/packages.mjs anthropic $U/ $MODEL $ARRIVED/$MODEL && echo demo
npm               v  npm install --fetch-retries=0 --registry=$U/npm/ egress-demo && cat node_modules/egress-demo/index.js
npm-cafile        vm echo cafile=/etc/ssl/certs/ca-certificates.crt >.npmrc && npm install --fetch-retries=0 --registry=$U/npm/ egress-demo && cat node_modules/egress-demo/index.js
pnpm-10           v  echo registry=$U/npm/ >.npmrc && node $STAGE/node/node_modules/pnpm-10/bin/pnpm.cjs add --config.fetch-retries=0 egress-demo && cat node_modules/egress-demo/index.js
pnpm              v  echo registry=$U/npm/ >.npmrc && $STAGE/node/node_modules/pnpm/pnpm add egress-demo && cat node_modules/egress-demo/index.js
yarn-1            v  node $STAGE/node/node_modules/yarn/bin/yarn.js add --registry $U/npm/ egress-demo && cat node_modules/egress-demo/index.js
yarn-4            v  export YARN_NPM_REGISTRY_SERVER=$U/npm YARN_HTTP_RETRY=0 YARN_NODE_LINKER=node-modules YARN_ENABLE_TELEMETRY=0 && echo {} >package.json && node $STAGE/node/node_modules/@yarnpkg/cli-dist/bin/yarn.js add egress-demo && cat node_modules/egress-demo/index.js
deno              v  $STAGE/node/node_modules/.bin/deno eval "console.log(await (await fetch('$U/')).text())"
bun               vm $STAGE/node/node_modules/.bin/bun -e "console.log(await (await fetch('$U/')).text())"
cargo             vm export PATH=$STAGE/rust/bin:$PATH CARGO_NET_RETRY=0 && mkdir src && touch src/lib.rs && printf '[package]\nname = "a"\nversion = "1.0.0"\n[dependencies]\negress-demo = { version = "1", registry = "local" }\n' >Cargo.toml && cargo --config "registries.local.index='sparse+$U/crates/'" fetch && ls .cargo/registry/src/*
reqwest-native    vm $STAGE/built/reqwest-native-tls $U/
reqwest-roots     vm $STAGE/built/reqwest-rustls-tls-native-roots $U/
go-grpc           vm $STAGE/built/grpc shop.example.test:443
maven             vm printf '<project><modelVersion>4.0.0</modelVersion><parent><groupId>test.example</groupId><artifactId>egress-demo</artifactId><version>1.0.0</version><relativePath/></parent><artifactId>a</artifactId><packaging>pom</packaging><repositories><repository><id>central</id><url>%s</url></repository></repositories></project>' $U/maven >pom.xml && mvn -B -q -Dmaven.repo.local=$HOME/local validate && ls local/test/example
okhttp            vm java -Xshare:auto -cp "$STAGE/built:$STAGE/built/jars/*" OkGet $U/
chromium          v  mkdir -p .pki/nssdb && certutil -d sql:.pki/nssdb -N --empty-password && [ -z "$SSL_CERT_FILE" ] || certutil -d sql:.pki/nssdb -A -t C,, -n egress -i "${SSL_CERT_FILE%/*}/mitmproxy-ca-cert.pem" && chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync --user-data-dir=profile --dump-dom $U/
EOF
)
setup_file() {
  suite_up
  local program
  for program in cargo certutil chromium java mvn node npm; do need "$program"; done
  [[ -e $MORE_CLIENTS/made-of ]] || skip_or_fail 'no build/more-clients (make check-long)'
  export GO=
  stage_tree "$PYTHON_CLIENTS" "$STAGE/python-clients"
  stage_tree "$MORE_CLIENTS/node" "$STAGE/node"
  stage_tree "$MORE_CLIENTS/built" "$STAGE/built"
  stage_cargo
  cp "$ROOT/tests/lib/real/packages.mjs" "$STAGE/node/"
  lab_for_file
  registry_up
  up
}

# Where cargo is rustup's, it may lie where others cannot enter.
stage_cargo() {
  local root
  root=$(rustc --print sysroot)
  [[ $root != /usr ]] || return 0
  mkdir -p "$STAGE/rust/lib"
  stage_tree "$root/bin" "$STAGE/rust/bin"
  cp -a "$root"/lib/*.so* "$STAGE/rust/lib/"
}

@test "every client that heeds variables, with those of trust.env" { play variables; tokens variables; }
@test "every client that reads /etc/ssl/certs, with certs/ mounted there and no variable" { play mounted; }
@test "none of them with neither" { play none; }
@test "roots that are compiled in heed neither" {
  local way
  for way in variables mounted; do
    # shellcheck disable=SC2016 # the row's shell
    attempt run_row "$way" '$STAGE/built/reqwest-rustls-tls-webpki-roots $U/' "$LAB/rows/webpki-$way"
    [[ $STATUS != 0 ]] || fault "$way: works"
    has "$OUTPUT" UnknownIssuer || fault "$way"
  done
  no_faults
}
