# shellcheck shell=bash
# The clients of more-clients.bats that no Debian package has, in build/more-clients: sourced by
# deps.sh, and by the suite.

MORE_CLIENTS=$ROOT/build/more-clients
NODE_PACKAGES=(
  @anthropic-ai/sdk@1.14.0 @grpc/grpc-js@1.14.7 @yarnpkg/cli-dist@4.18.1 axios@1.21.1 bun@1.4.5 deno@2.9.6
  openai@6.49.0 pnpm@12.21.0 pnpm-10@npm:pnpm@10.34.8 undici@7.30.2 ws@8.23.0 yarn@1.22.22
)
GO_GRPC=google.golang.org/grpc@v1.56.3 # the newest for Debian's Go
OKHTTP=com.squareup.okhttp3:okhttp:4.12.0
REQWEST=0.12.28
REQWEST_TLS=(native-tls rustls-tls-native-roots rustls-tls-webpki-roots)

provide_more_clients() {
  local made_of="${NODE_PACKAGES[*]} $GO_GRPC $OKHTTP $REQWEST ${REQWEST_TLS[*]}"
  [[ $(cat "$MORE_CLIENTS/made-of" 2>/dev/null) != "$made_of" ]] || return 0
  say "making build/more-clients, which takes a while"
  rm -rf "$MORE_CLIENTS"
  mkdir -p "$MORE_CLIENTS"/{node,go,rust/src,maven,built}
  local log
  if log=$({ fill_node && fill_maven && fill_go && fill_rust; } 2>&1); then
    echo "$made_of" >"$MORE_CLIENTS/made-of"
  else
    say "not possible: $(tail -n 3 <<<"$log")"
  fi
}

fill_node() {
  (cd "$MORE_CLIENTS/node" && echo '{ "type": "module" }' >package.json &&
    npm install --no-audit --no-fund --no-progress "${NODE_PACKAGES[@]}")
}

fill_maven() {
  local group=${OKHTTP%%:*} version=${OKHTTP##*:} artifact=${OKHTTP#*:}
  printf '<project><modelVersion>4.0.0</modelVersion><groupId>a</groupId><artifactId>a</artifactId><version>1</version>%s</project>' \
    "<dependencies><dependency><groupId>$group</groupId><artifactId>${artifact%:*}</artifactId><version>$version</version></dependency></dependencies>" \
    >"$MORE_CLIENTS/maven/pom.xml"
  mvn -B -q -f "$MORE_CLIENTS/maven/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$MORE_CLIENTS/built/jars" &&
    javac -nowarn -cp "$MORE_CLIENTS/built/jars/*" -d "$MORE_CLIENTS/built" "$ROOT/tests/lib/real/OkGet.java"
}

fill_go() {
  export GOTOOLCHAIN=local GOFLAGS=-modcacherw
  (cd "$MORE_CLIENTS/go" && cp "$ROOT/tests/lib/real/grpc.go" . && go mod init local && go get "$GO_GRPC" &&
    go build -o "$MORE_CLIENTS/built/grpc" grpc.go)
}

# Once for each TLS, since a feature that one of them needs would be on for all.
fill_rust() {
  local tls target=$MORE_CLIENTS/rust/target
  cp "$ROOT/tests/lib/real/reqwest.rs" "$MORE_CLIENTS/rust/src/main.rs"
  for tls in "${REQWEST_TLS[@]}"; do
    printf '[package]\nname = "get"\nversion = "1.0.0"\nedition = "2021"\n[dependencies]\nreqwest = { version = "=%s", default-features = false, features = ["blocking", "%s"] }\n[profile.dev]\ndebug = false\nstrip = true\n' \
      "$REQWEST" "$tls" >"$MORE_CLIENTS/rust/Cargo.toml"
    cargo build -q --manifest-path "$MORE_CLIENTS/rust/Cargo.toml" --target-dir "$target" &&
      cp "$target/debug/get" "$MORE_CLIENTS/built/reqwest-$tls" || return
  done
  rm -rf "$target"
}
