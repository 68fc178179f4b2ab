# shellcheck shell=bash
# A real origin in the namespace ORIGIN: nginx with TLS on 443 and 8443, plain
# HTTP on 80 and 8080, in both address families. Every name has a certificate
# of its own. What it answers:
#
#   /          what it received, one "name: value" per line
#   /large     16 MiB with a Content-Length
#
# and after slow_origin_up:
#
#   /events    an event stream: one event at once, the second after ?pause=SECONDS
#   /chunked   the same as chunked text

# Print the DNS names of HOSTS, each once.
origin_names() { awk 'NF { print $2 }' <<<"$HOSTS" | sort -u; }

# Make an EC key and a certificate: issue DIRECTORY NAME SUBJECT EXTENSION [CA],
# self-signed without the name of a CA in the same directory.
issue() {
  local dir=$1 name=$2 subject=$3 extension=$4 ca=${5-} usage=
  # Python 3.13 takes no CA without it.
  [[ -n $ca ]] || usage=keyUsage=critical,keyCertSign,cRLSign
  openssl req -x509 -config "$dir/req.conf" -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
    -nodes -days 30 -subj "/CN=$subject" -addext "$extension" ${usage:+-addext "$usage"} \
    ${ca:+-CA "$dir/$ca.crt" -CAkey "$dir/$ca.key"} \
    -keyout "$dir/$name.key" -out "$dir/$name.crt" 2>"$dir/openssl.log" || {
    cat "$dir/openssl.log" >&2
    return 1
  }
}

# Everything that the origin's TLS needs, in directory $1: made once for all
# labs. $1/trust is the upstream trust directory, with the private CA in it.
origin_make_certificates() {
  local dir=$1 name ca
  mkdir -p "$dir/trust"
  printf '[req]\ndistinguished_name = dn\n[dn]\n' >"$dir/req.conf"
  issue "$dir" private-ca 'Private Test CA' basicConstraints=critical,CA:TRUE
  issue "$dir" unknown-ca 'Unknown Test CA' basicConstraints=critical,CA:TRUE
  for name in $(origin_names); do
    ca=private-ca
    [[ $name != unknown-ca.test ]] || ca=unknown-ca
    issue "$dir" "$name" "$name" "subjectAltName=DNS:$name" $ca
  done
  cp "$dir/private-ca.crt" "$dir/trust/private-ca.pem"
  openssl rehash "$dir/trust"
}

# nginx.conf for certificates in directory $1 and all other files in $2.
origin_config() {
  local pki=$1 dir=$2 name listen='listen 80; listen 8080; listen 443 ssl http2; listen 8443 ssl http2;'
  ((IPV6 == 0)) ||
    listen+=' listen [::]:80; listen [::]:8080; listen [::]:443 ssl http2; listen [::]:8443 ssl http2;'
  cat <<EOF
daemon off;
user nobody nogroup;
worker_processes 1;
worker_rlimit_nofile 8192;
pid $dir/pid;
error_log $dir/error.log;
events { worker_connections 4096; }
http {
  log_format seen '\$remote_addr \$scheme://\$host:\$server_port\$request_uri'
    ' egress="\$http_x_opensandbox_egress" agent="\$http_user_agent"'
    ' sni="\$ssl_server_name" address=\$server_addr status=\$status';
  access_log $dir/access.log seen;
  client_body_temp_path $dir/tmp; proxy_temp_path $dir/tmp; fastcgi_temp_path $dir/tmp;
  scgi_temp_path $dir/tmp; uwsgi_temp_path $dir/tmp;
  client_max_body_size 0;
  keepalive_timeout 300;
  default_type text/plain;
EOF
  for name in $(origin_names); do
    printf '  server {\n    server_name %s; %s\n    ssl_certificate "%s.crt"; ssl_certificate_key "%s.key";\n    include %s;\n  }\n' \
      "$name" "$listen" "$pki/$name" "$pki/$name" "$dir/locations"
  done
  echo '}'
  cat >"$dir/locations" <<EOF
    location / {
      return 200 "request: \$request
scheme: \$scheme
host: \$http_host
from: \$remote_addr
to: \$server_addr:\$server_port
sni: \$ssl_server_name
User-Agent: \$http_user_agent
X-OpenSandbox-Egress: \$http_x_opensandbox_egress
";
    }
    location = /large { root $dir; }
    location ~ ^/(events|chunked)$ {
      proxy_pass http://127.0.0.1:9100;
      proxy_http_version 1.1;
      proxy_buffering off;
    }
    include $dir/more[.]conf; # a suite's own, if it has any
EOF
}

# Start the origin for certificates in directory $1, with its files in $2.
origin_up() {
  local pki=$1 dir=$2
  mkdir -p "$dir/tmp"
  chown -R nobody "$dir/tmp"
  truncate -s 16M "$dir/large"
  origin_config "$pki" "$dir" >"$dir/nginx.conf"
  ip netns exec "$ORIGIN" nginx -e "$dir/error.log" -c "$dir/nginx.conf" 3>&- >"$dir/output" 2>&1 &
  disown
  wait_until 5 in_origin curl -so /dev/null http://127.0.0.1/ || {
    cat "$dir/output" "$dir/error.log" >&2
    return 1
  }
}

slow_origin_up() {
  in_origin /usr/bin/python3 "$ROOT/tests/lib/slow_origin.py" 9100 3>&- >>"$LAB/origin/output" 2>&1 &
  disown
  wait_until 5 in_origin curl -so /dev/null 'http://127.0.0.1:9100/?pause=0'
}

# Print the origin's log lines with $1 in them; status 1 if there is none within a second:
# the origin may write its line only when the client has had its answer already.
origin_saw() { wait_until 1 grep -F -e "$1" "$LAB/origin/access.log"; }
