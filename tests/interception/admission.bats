#!/usr/bin/env bats
# What mitmscripts/admission.py does for requests that are in order, and what it says of others; that
# mitmproxy is as it was but for that. (What must not get through: escape.bats.)

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/hooks.sh"

NEEDS=(legacy)

refused() { metric "refused_total{kind=\"$1\"}"; }

@test "hooks, their order, and what clients are answered: as in mitmproxy without our pieces" {
  hooks_addon
  up
  observe >"$LAB/with"
  kill "$SPAWNED"
  await_exit "$SPAWNED" 6
  fake_mitmdump <<FAKE
#!/bin/sh
exec "$MITMDUMP" "\$@" --set egress_without=validation,same_version,prior_knowledge,framing,http1_answers,half_closed,bounded_heads,bounded_queues,request_hook_first,bounded_bodies,websockets,codings,addon_errors,idle_timeout,tls_failures,other_addresses,known_before_connected
FAKE
  up
  observe >"$LAB/without"
  cat "$LAB/with"
  same 'what is seen' "$(<"$LAB/without")" "$(<"$LAB/with")"
  has "$(<"$LAB/with")" '^/answered-in-request request 100000$'
  has "$(<"$LAB/with")" '^http2 /answered-in-request, with a body: 418 2 6$'
}

@test "STREAM_REQUESTS: up to that size addons get the body whole, above it in time, gRPC in HTTP/2 always" {
  local size version
  hooks_addon
  give MITMPROXY_STREAM_REQUESTS=64k
  up
  for version in http1.1 http2; do
    for size in 1 65536 65537 1000000; do
      head -c $size /dev/zero >"$LAB/body"
      app_curl --$version -so /dev/null --data-binary @"$LAB/body" "https://shop.example.test/$version-$size"
      app_curl --$version -so /dev/null -T - "https://shop.example.test/$version-chunked-$size" <"$LAB/body"
      app_curl --$version -so /dev/null -H 'Content-Type: application/grpc+proto; a=b' --data-binary @"$LAB/body" \
        "https://shop.example.test/$version-grpc-$size"
    done
  done
  for version in http1.1 http2; do
    for size in 1 65536; do
      has "$(<"$LAB/home/hooks")" "^/$version-$size request $size\$"
      has "$(<"$LAB/home/hooks")" "^/$version-chunked-$size request $size\$"
    done
    for size in 65537 1000000; do
      has "$(<"$LAB/home/hooks")" "^/$version-$size request none\$"
      has "$(<"$LAB/home/hooks")" "^/$version-chunked-$size request none\$"
    done
  done
  for size in 1 65536; do
    has "$(<"$LAB/home/hooks")" "^/http1.1-grpc-$size request $size\$"
    has "$(<"$LAB/home/hooks")" "^/http2-grpc-$size request none\$"
  done
  # Each hook once.
  same 'hooks of a streamed request' $'requestheaders\nrequest\nresponseheaders\nresponse' \
    "$(sed -n 's|^/http2-1000000 \([a-z]*\) .*|\1|p' "$LAB/home/hooks")"
}

@test "IDLE_TIMEOUT: a connection lives so long without a byte" {
  local began
  give MITMPROXY_IDLE_TIMEOUT=3
  slow_origin_up
  up
  has "$(app_curl 'https://shop.example.test/events?pause=1')" '^data: second$'
  began=$SECONDS
  refute app_curl 'https://shop.example.test/events?pause=60'
  ((SECONDS - began < 30))
  has "$(tr '\0' '\n' <"/proc/$(mitmdump_pid)/cmdline")" '^egress_idle_timeout=3$'
}

@test "memory for bodies: who finds none waits, gets 503 in the end; uploads that do not end give way" {
  local version
  hooks_addon
  cp -r "$STAGE/usr/share/opensandbox/mitmscripts" "$LAB/scripts"
  sed -i 's/WAIT_MAX = 120/WAIT_MAX = 1/; s/GIVE_WAY = 60/GIVE_WAY = 30/' "$LAB/scripts/admission.py"
  grep -q 'WAIT_MAX = 1$' "$LAB/scripts/admission.py"
  grep -q 'GIVE_WAY = 30$' "$LAB/scripts/admission.py"
  cat >"$LAB/hold.py" <<'PYTHON'
import socket
held = []
for _ in range(16):
    connection = socket.create_connection(("203.0.113.10", 80), 5)
    connection.sendall(b"POST /held HTTP/1.1\r\nHost: shop.example.test\r\nContent-Length: 8388608\r\n\r\n")
    connection.sendall(bytes(8388607))
    held.append(connection)
print("held", flush=True)
held[0].settimeout(60)
assert held[0].recv(1) == b""
print("closed", flush=True)
PYTHON
  give MITMPROXY_SCRIPTS_DIR="$LAB/scripts"
  up
  as_app /usr/bin/python3 "$LAB/hold.py" >"$LAB/hold.log" 2>&1 3>&- &
  wait_until 25 grep -q held "$LAB/hold.log"
  head -c 65537 /dev/zero >"$LAB/body"
  for version in http1.1 http2; do
    same "status in $version" 503 "$(app_curl --$version -so /dev/null -w '%{http_code}' --data-binary @"$LAB/body" https://shop.example.test/$version-refused)"
    same 'small body' 200 "$(app_curl --$version -so /dev/null -w '%{http_code}' -d small https://shop.example.test/$version-small)"
    same 'hooks' $'requestheaders none\nerror none' "$(sed -n "s|^/$version-refused ||p" "$LAB/home/hooks")"
    has "$(<"$LAB/home/hooks")" "^/$version-small request 5\$"
  done
  refused_both() { [[ $(refused request) == 2 ]]; }
  wait_until 3 refused_both
  room_again() { [[ $(app_curl -so /dev/null -w '%{http_code}' --data-binary @"$LAB/body" http://shop.example.test/again) == 200 ]]; }
  wait_until 45 room_again
  wait_until 5 grep -q closed "$LAB/hold.log"
  has "$(<"$LAB/home/hooks")" '^/again request 65537$'
  has "$(<"$LAB/up.log")" 'refused request: shop.example.test: other request bodies take all the memory'
}

@test "what is refused is counted by its kind, a line in the log each" {
  up
  local kind
  for kind in non-http tls request version addon; do same "$kind" 0 "$(refused $kind)"; done
  attempt as_app bash -c 'exec 3<>/dev/tcp/203.0.113.10/443; printf "SSH-2.0-x\r\n" >&3; time timeout 3 cat <&3'
  [[ $STATUS == 0 ]] # closed, and not by the time-out
  has "$OUTPUT" '^real.*0m0\.'
  attempt as_app bash -c 'exec 3<>/dev/tcp/203.0.113.10/443; printf "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03" >&3; timeout 3 cat <&3'
  [[ $STATUS == 0 ]]
  attempt app_curl -o /dev/null -w '%{http_code}' -H 'Host: a b' http://shop.example.test/
  same status 400 "$OUTPUT"
  attempt app_curl -v -o /dev/null -x http://203.0.113.10:80 https://shop.example.test/
  has "$OUTPUT" '^< HTTP/1.1 400'
  has "$(app_curl -X CONNECT --request-target api.example.test:443 -H 'Host: api.example.test:443' http://shop.example.test/)" \
    'HTTPS_PROXY.*OPENSANDBOX_EGRESS_MITMPROXY_EXCLUDE_CIDRS'
  counted() { [[ $(refused non-http) == 1 && $(refused tls) == 1 && $(refused request) == 3 && $(refused addon) == 0 ]]; }
  wait_until 3 counted
  has "$(<"$LAB/up.log")" 'mitmdump: .*refused non-http: 10\.77\.0\.2:[0-9]+ -> 203\.0\.113\.10:443: neither TLS nor HTTP, closed; see OPENSANDBOX_EGRESS_MITMPROXY_NON_HTTP$'
  has "$(<"$LAB/up.log")" 'refused tls: 10.77.0.2:.*: a damaged ClientHello'
  has "$(<"$LAB/up.log")" 'refused request: a b: host'
  has "$(<"$LAB/up.log")" 'refused request: api\.example\.test: CONNECT, which is for a forward proxy'
}

# An origin that agrees on HTTP/1.1 first, and on HTTP/2 for each connection after that, where it is offered.
# The client is in the middle of its second request when the first connection ends.
@test "a later connection to the origin is offered only the version that the client speaks" {
  cat >"$LAB/fickle.py" <<'PYTHON'
import socket, ssl, sys, time
listener = socket.create_server(("203.0.113.12", 444))
for protocols in (["http/1.1"], ["h2", "http/1.1"], ["h2", "http/1.1"]):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[1:])
    context.set_alpn_protocols(protocols)
    connection = context.wrap_socket(listener.accept()[0], server_side=True)
    connection.recv(65536)
    if connection.selected_alpn_protocol() == "http/1.1":
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    time.sleep(1)
    connection.close()
PYTHON
  ip netns exec "$ORIGIN" /usr/bin/python3 "$LAB/fickle.py" "$STAGE/pki/example.com.crt" "$STAGE/pki/example.com.key" 3>&- &
  give MITMPROXY_EXTRA_PORTS=444
  up
  twice() {
    printf 'GET /one HTTP/1.1\r\nHost: example.com:444\r\n\r\nPUT /two HTTP/1.1\r\nHost: example.com:444\r\nContent-Length: 1\r\n\r\n'
    sleep 2
    printf x
    sleep 1
  }
  attempt as_app openssl s_client -quiet -alpn h2,http/1.1 -servername example.com -connect 203.0.113.12:444 < <(twice)
  same answers 2 "$(grep -o "HTTP/1.1 200 OK" <<<"$OUTPUT" | wc -l)"
}

# An origin on port 81 that answers as the Python code in standard input says: answer(connection).
origin_that() {
  {
    cat <<'PYTHON'
import socket, sys, threading, time
def head(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        got = connection.recv(65536)
        if not got:
            return data
        data += got
    return data
PYTHON
    cat
    cat <<'PYTHON'
listener = socket.create_server(("203.0.113.12", 81))
while True:
    threading.Thread(target=answer, args=listener.accept()[:1], daemon=True).start()
PYTHON
  } >"$LAB/origin81.py"
  ip netns exec "$ORIGIN" /usr/bin/python3 "$LAB/origin81.py" 3>&- &
  give MITMPROXY_EXTRA_PORTS=81
}

@test "interim answers and trailers are no reason to wait for ever" {
  origin_that <<'PYTHON'
def answer(connection):
    while request := head(connection):
        answer_one(connection, request)

def answer_one(connection, request):
    if b"/hints" in request:
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 10")
        time.sleep(0.1)
        connection.sendall(b"2 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhints")
    elif b"/trailers" in request:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ntrailers\r\n0\r\nX-After: 1\r\n\r\n")
    else:
        while b"0\r\n\r\n" not in request:
            request += connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsent")
PYTHON
  up
  same interim hints "$(app_curl --max-time 3 http://example.com:81/hints)"
  same trailers trailers "$(app_curl --max-time 3 http://example.com:81/trailers)"
  # And one request after the other on a connection of the client's.
  same both hintstrailers "$(app_curl --max-time 5 http://example.com:81/hints http://example.com:81/trailers)"
  attempt as_app bash -c 'exec 3<>/dev/tcp/203.0.113.12/81
    printf "POST /put HTTP/1.1\r\nHost: example.com:81\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nX-After: 1\r\n\r\n" >&3
    timeout 3 cat <&3'
  has "$OUTPUT" '^sent'
}

@test "what a client sends while nobody takes it stays where it is: memory does not grow" {
  local before after way
  origin_that <<'PYTHON'
def answer(connection):
    head(connection)
    time.sleep(60)
PYTHON
  cat >"$LAB/flood.py" <<'PYTHON'
import socket, sys, time
address, first, *more = sys.argv[1:]
host, port = address.rsplit(":", 1)
connection = socket.create_connection((host, int(port)), 5)
connection.sendall(first.encode().decode("unicode_escape").encode("latin-1"))
connection.settimeout(1.5)
sent = 0
try:
    while sent < 200 << 20:
        sent += connection.send(b"GET / HTTP/1.1\r\n" * 4000)
except TimeoutError:
    pass
print(sent >> 20, "MiB taken")
PYTHON
  # An address at which nobody answers.
  ip -n "$ORIGIN" address add 203.0.113.77/32 dev lo
  in_origin nft 'table inet silent { chain input { type filter hook input priority 0; ip daddr 203.0.113.77 drop; }; }'
  up
  app_curl -so /dev/null http://shop.example.test/
  before=$(resident "$(mitmdump_pid)")
  for way in '203.0.113.12:81 GET / HTTP/1.1\r\nHost: a\r\n\r\n' \
    '203.0.113.77:80 POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000000\r\n\r\n'; do
    attempt as_app /usr/bin/python3 "$LAB/flood.py" "${way%% *}" "${way#* }"
    [[ $STATUS == 0 ]]
    has "$OUTPUT" '^[0-9]{1,2} MiB taken'
  done
  after=$(resident "$(mitmdump_pid)")
  echo "$before KiB before, $after KiB behind"
  ((after - before < 40 * 1024))
}

@test "nobody but the proxy's own line counts as a refusal, whatever an addon prints of a request" {
  cat >"$LAB/addons/chatter.py" <<'PYTHON'
def request(flow):
    print(flow.request.headers["user-agent"], flush=True)
PYTHON
  give MITMPROXY_SCRIPT="$LAB/addons/chatter.py" MITMPROXY_SET=flow_detail=3
  up
  app_curl -so /dev/null -A 'opensandbox-egress refused tls: forged' --data-binary $'a\nopensandbox-egress refused tls: forged\n' http://shop.example.test/
  wait_until 3 grep -q 'refused tls: forged' "$LAB/up.log"
  same counted 0 "$(refused tls)"
}

# An address of the client's own choice, at which nobody answers, for a name: at_dead NAME URL [CURL OPTIONS]
at_dead() {
  app_curl --resolve "$1:80:[2001:db8::99]" --resolve "$1:443:[2001:db8::99]" "${@:2}"
}

@test "in place of an IPv6 address that nobody answers: the name's others, if addons agree, and never the pod's own" {
  local name version
  need ipv6
  cat >>"/etc/netns/$POD/hosts" <<'HOSTS'
127.0.0.5      loopback.example.test
10.77.0.2      own.example.test
169.254.7.7    link.example.test
0.0.0.0        any.example.test
HOSTS
  ip -n "$ORIGIN" address add 169.254.7.7/32 dev lo
  in_origin nft 'table inet silent { chain input { type filter hook input priority 0; ip6 daddr 2001:db8::99 drop; }; }'
  ip -n "$ORIGIN" address add 2001:db8::99/128 dev lo nodad
  spawn own /usr/bin/python3 -m http.server --bind 0.0.0.0 80
  cat >"$LAB/addons/addresses.py" <<PYTHON
def server_connect(data):
    with open("$LAB/home/asked", "a") as file:
        print(data.server.address[0], file=file)
    if data.server.address[0] == "203.0.113.11":
        data.server.error = "denied by its address"

def response(flow):
    flow.response.headers["connected"] = flow.server_conn.peername[0]
PYTHON
  give MITMPROXY_SCRIPT="$LAB/addons/addresses.py"
  up
  for version in http1.1 http2; do
    attempt at_dead shop.example.test --$version -w '%{http_code} %{num_connects} %header{connected}\n' -o /dev/null -o /dev/null https://shop.example.test/{1,2}
    same "https, $version" $'200 1 203.0.113.10\n200 0 203.0.113.10' "$OUTPUT"
  done
  : >"$LAB/home/asked"
  attempt at_dead shop.example.test -w '%{http_code} %{num_connects} %header{connected}\n' -o /dev/null -o /dev/null http://shop.example.test/{1,2}
  same http $'200 1 203.0.113.10\n200 0 203.0.113.10' "$OUTPUT"
  same 'asked of addons' $'2001:db8::99\n203.0.113.10' "$(<"$LAB/home/asked")"
  for name in api loopback own link any; do
    attempt at_dead $name.example.test -m 5 -o /dev/null -w '%{http_code} %{time_total}' http://$name.example.test/
    case $name in
      api) has "$OUTPUT" '^502 ' ;;
      *) has "$OUTPUT" 'timed out' ;; # of the address that was chosen, for which it waits
    esac
  done
  lacks "$(<"$LAB/own.log")" 'GET'
}

@test "IGNORE_HOSTS by address: what passes undecrypted has no other addresses" {
  need ipv6
  ip -n "$ORIGIN" address add 2001:db8::98/128 dev lo nodad
  in_origin nft 'table inet silent { chain input { type filter hook input priority 0; ip6 daddr 2001:db8::98 tcp dport 443 reject with tcp reset; }; }'
  give MITMPROXY_IGNORE_HOSTS='^2001:db8::98'
  up
  attempt app_curl -k --resolve 'shop.example.test:443:[2001:db8::98]' https://shop.example.test/
  [[ $STATUS != 0 ]]
  same 'not ignored' 200 "$(app_curl -o /dev/null -w '%{http_code}' --resolve 'shop.example.test:443:[2001:db8::99]' https://shop.example.test/)"
}

@test "an origin that asks for a client's certificate: a page that says so at once, and the proxy's own if it has one" {
  local pki=$STAGE/pki port
  issue "$pki" client client subjectAltName=DNS:client private-ca
  cat "$pki/client.crt" "$pki/client.key" >"$LAB/home/client.pem"
  cat >"$LAB/asking.py" <<'PYTHON'
import socket, ssl, sys, threading
ca, *certificate = sys.argv[1:]
def answer(raw, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(*certificate)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        connection = context.wrap_socket(raw, server_side=True)
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    except ssl.SSLError:
        threading.Event().wait(20)  # it has said what is wrong
def serve(port, version):
    listener = socket.create_server(("203.0.113.12", port))
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0], version), daemon=True).start()
threading.Thread(target=serve, args=(444, ssl.TLSVersion.TLSv1_2)).start()
serve(445, ssl.TLSVersion.TLSv1_3)
PYTHON
  ip netns exec "$ORIGIN" /usr/bin/python3 "$LAB/asking.py" "$pki/private-ca.crt" "$pki/example.com.crt" "$pki/example.com.key" 3>&- &
  give MITMPROXY_EXTRA_PORTS=444,445
  up
  for port in 444 445; do
    attempt app_curl --max-time 5 -w '\n%{http_code}\n' https://example.com:$port/
    has "$OUTPUT" '^502$'
    has "$OUTPUT" "asks for a client certificate.*OPENSANDBOX_EGRESS_MITMPROXY_IGNORE_HOSTS"
  done
  kill "$SPAWNED"
  await_exit "$SPAWNED" 6
  give MITMPROXY_SET=client_certs="$LAB/home/client.pem"
  up
  for port in 444 445; do same "port $port" ok "$(app_curl https://example.com:$port/)"; done
}

@test "NO_NAME: TLS without a name is verified for the address, with a page that names the variable, or passed through" {
  local nameless='https://203.0.113.10/'
  up
  attempt app_curl -k -w '\n%{http_code}\n' $nameless
  has "$OUTPUT" '^502$'
  has "$OUTPUT" 'has named no host.*OPENSANDBOX_EGRESS_MITMPROXY_NO_NAME=passthrough'
  kill "$SPAWNED"
  await_exit "$SPAWNED" 6
  give MITMPROXY_NO_NAME=passthrough
  up
  lacks "$(seen_issuer $nameless)" mitmproxy
  has "$(seen_issuer https://shop.example.test/)" mitmproxy
  wait_until 3 grep -qE 'passed tls 10\.77\.0\.2:[0-9]+ -> 203\.0\.113\.10:443: the client has named no host; see OPENSANDBOX_EGRESS_MITMPROXY_NO_NAME' "$LAB/up.log"
}
