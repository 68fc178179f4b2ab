# shellcheck shell=bash
# What addons and clients see of a mitmdump, to be compared with what they see of another.

# An addon that writes a line for each hook of a flow, by the path: LAB/home/hooks.
hooks_addon() {
  : >"$LAB/home/hooks"
  chown "$MITM_UID" "$LAB/home/hooks"
  cat >"$LAB/addons/hooks.py" <<PYTHON
from mitmproxy import http

def note(name):
    def hook(flow):
        request = flow.request
        body = "none" if request.raw_content is None else len(request.raw_content)
        with open("$LAB/home/hooks", "a") as file:
            print(request.path, name, body, file=file)
        if request.path == f"/answered-in-{name}":
            flow.response = http.Response.make(418, b"teapot")
        if request.path == f"/killed-in-{name}":
            flow.kill()
        if request.path == f"/changed-in-{name}" and name == "request":
            request.content = b"changed"
    return hook

requestheaders, request = note("requestheaders"), note("request")
responseheaders, response, error = note("responseheaders"), note("response"), note("error")
PYTHON
  give MITMPROXY_SCRIPT="$LAB/addons/hooks.py"
}

# What clients of several kinds are answered, and which hooks run for them, in which order.
observe() {
  local path version
  : >"$LAB/home/hooks"
  head -c 100000 /dev/zero >"$LAB/body"
  for version in http1.1 http2; do
    for path in /plain /answered-in-requestheaders /answered-in-request /killed-in-requestheaders \
      /killed-in-request /changed-in-request; do
      echo "$version $path: $(app_curl --$version -so /dev/null -w '%{http_code} %{http_version} %{size_download}' https://shop.example.test$path 2>/dev/null)"
      echo "$version $path, with a body: $(app_curl --$version -so /dev/null -w '%{http_code} %{http_version} %{size_download}' --data-binary @"$LAB/body" https://shop.example.test$path 2>/dev/null)"
    done
    echo "$version, chunked: $(app_curl --$version -s -T - https://shop.example.test/put <"$LAB/body" | head -n 1)"
    echo "$version, no such host: $(app_curl --$version -so /dev/null -w '%{http_code}' --resolve shop.example.test:443:203.0.113.99 https://shop.example.test/unreachable)"
  done
  echo "HTTP/1.0: $(app_curl -0 -s http://shop.example.test/ | head -n 1)"
  echo "HEAD: $(app_curl -sI -o /dev/null -w '%{http_code}' http://shop.example.test/)"
  cat "$LAB/home/hooks"
}
