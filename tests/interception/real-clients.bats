#!/usr/bin/env bats
# Real clients, as an ordinary user in a clean environment, trust what is intercepted with nothing
# but what setup exports. docs/clients.md says the same in a table. more-clients.bats has those
# that take long to install.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/registry.sh"

# NAME, ways (registry.sh), COMMAND
# shellcheck disable=SC2034 # for registry.sh
ROWS=$(
  cat <<'EOF'
curl              vm curl -sS $U/
wget              vm wget -q -O - $U/ || wget -nv -O - $U/
wget2             vm wget2 -nv -O - $U/
aria2              m aria2c --console-log-level=error -o out $U/ && cat out
lftp               m lftp -c "set net:max-retries 1; cat $U/pypi/simple/egress-demo/"
gnutls-cli         m gnutls-cli -p 443 shop.example.test && echo demo
openssl           vm printf 'GET / HTTP/1.0\r\nHost: shop.example.test\r\n\r\n' | openssl s_client -quiet -ignore_unexpected_eof -verify_return_error -verify_hostname shop.example.test -servername shop.example.test -connect shop.example.test:443
git               vm git clone -q $U/git/demo.git && cat demo/demo.txt
git-openssl       vm GIT_EXEC_PATH=$STAGE/git-openssl git clone -q $U/git/demo.git && cat demo/demo.txt
hg                 m hg id $U/ >out 2>&1; cat out; grep -q X-OpenSandbox-Egress out
apt               vm mkdir -p lists/partial cache/partial && echo "deb [trusted=yes] $U/apt ./" >sources && for what in update 'download egress-demo'; do apt-get -q -o Dir::Etc::SourceList=$HOME/sources -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=$HOME/lists -o Dir::Cache=$HOME/cache -o Debug::NoLocking=1 -o Acquire::Retries=0 -o APT::Update::Error-Mode=any $what || exit; done && ls *.deb
skopeo            vm skopeo --insecure-policy copy docker://shop.example.test/demo:1.0.0 dir:image && grep -l schemaVersion image/* && echo demo
aws               vm AWS_MAX_ATTEMPTS=1 AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b /usr/bin/aws --endpoint-url $U --region us-east-1 s3 ls s3://egress-bucket
s3cmd             vm s3cmd --access_key=a --secret_key=b --host=shop.example.test --host-bucket=shop.example.test ls s3://egress-bucket
rclone            vm rclone --retries 1 --low-level-retries 1 --s3-provider Other --s3-access-key-id a --s3-secret-access-key b --s3-endpoint $U lsf :s3:egress-bucket
perl-lwp          vm perl $STAGE/real/get.pl lwp $U/
perl-http-tiny    vm perl $STAGE/real/get.pl tiny $U/
php-streams       vm php $STAGE/real/get.php streams $U/
php-curl          vm php $STAGE/real/get.php curl $U/
ruby              vm ruby $STAGE/real/get.rb $U/
gem               vm gem fetch egress-demo --clear-sources --source $U/gems/ && ls *.gem
node-fetch        v  node $STAGE/real/get.mjs fetch $U/
node-https        v  node $STAGE/real/get.mjs https $U/
java-connection   vm java -Xshare:auto -XX:TieredStopAtLevel=1 -cp $STAGE/real Get connection $U/
java-httpclient   vm java -Xshare:auto -XX:TieredStopAtLevel=1 -cp $STAGE/real Get client $U/
go-http           vm $STAGE/real/get $U/
go-mod            vm GOCACHE=$HOME/cache GOPATH=$HOME/path GOPROXY=$U/go GONOSUMDB=* GOTOOLCHAIN=local GOFLAGS=-modcacherw $GO mod download example.test/demo@v1.0.0 && ls path/pkg/mod/example.test
urllib            vm /usr/bin/python3 $STAGE/real/get.py urllib $U/
urllib3           vm $STAGE/python-clients/bin/python3 $STAGE/real/get.py urllib3 $U/
requests          v  $STAGE/python-clients/bin/python3 $STAGE/real/get.py requests $U/
httpx             v  $STAGE/python-clients/bin/python3 $STAGE/real/get.py httpx $U/
aiohttp           vm $STAGE/python-clients/bin/python3 $STAGE/real/get.py aiohttp $U/
httplib2          v  $STAGE/python-clients/bin/python3 $STAGE/real/get.py httplib2 $U/
pycurl             m $STAGE/python-clients/bin/python3 $STAGE/real/get.py pycurl $U/
grpcio            v  $STAGE/python-clients/bin/python3 $STAGE/real/get.py grpcio $U/
openai            vm $STAGE/python-clients/bin/python3 $STAGE/real/get.py openai $U/ $MODEL $ARRIVED/$MODEL && echo demo
anthropic         vm $STAGE/python-clients/bin/python3 $STAGE/real/get.py anthropic $U/ $MODEL $ARRIVED/$MODEL && echo demo
pip-24            v  /usr/bin/python3 $STAGE/real/pip-24.whl/pip download --retries 0 -i $U/pypi/simple egress-demo && ls *.whl
pip               vm /usr/bin/python3 $STAGE/real/pip-26.whl/pip download --retries 0 -i $U/pypi/simple egress-demo && ls *.whl
uv                v  UV_HTTP_RETRIES=0 $STAGE/python-clients/bin/uv pip install --no-cache --index-url $U/pypi/simple --target target egress-demo && ls target
EOF
)

setup_file() {
  suite_up
  local program
  for program in aria2c git gnutls-cli go hg java javac lftp node php rclone ruby s3cmd skopeo wget wget2; do need "$program"; done
  [[ -x $PYTHON_CLIENTS/bin/uv ]] || skip_or_fail 'no build/clients (make deps)'
  GO=$(command -v go)
  export GO
  mkdir "$STAGE/real"
  cp "$ROOT"/tests/lib/real/* "$STAGE/real/"
  javac -nowarn -d "$STAGE/real" "$STAGE/real/Get.java"
  GOTOOLCHAIN=local GOFLAGS='' GOCACHE=$ROOT/build/go go build -o "$STAGE/real/get" "$STAGE/real/get.go"
  stage_tree "$PYTHON_CLIENTS" "$STAGE/python-clients"
  for program in 24 26; do cp "$PYTHON_CLIENTS/pip-$program".*.whl "$STAGE/real/pip-$program.whl"; done
  git_over_openssl
  lab_for_file
  registry_up
  up
}

# Debian's git uses GnuTLS's libcurl. This one uses OpenSSL's: the functions that it calls have no
# version any more, and the library whose name it knows only leads on to the other one.
git_over_openssl() {
  local directory=$STAGE/git-openssl name functions
  cp -rs "$(git --exec-path)" "$directory"
  rm "$directory"/git-remote-http*
  cp "$(git --exec-path)/git-remote-http" "$directory/git-remote-https"
  echo 'CURL_GNUTLS_3 { global: nothing; };' >"$STAGE/version"
  gcc -x c -shared -fPIC -o "$directory/libcurl-gnutls.so.4" - -Wl,-soname,libcurl-gnutls.so.4 \
    "-Wl,--version-script=$STAGE/version" -Wl,--no-as-needed -l:libcurl.so.4 <<<'void nothing(void); void nothing(void) {}'
  functions=()
  while read -r name; do functions+=(--clear-symbol-version "$name"); done \
    < <(objdump -T "$directory/git-remote-https" | awk '/CURL_GNUTLS_3/ { print $NF }')
  patchelf --set-rpath "$directory" "${functions[@]}" "$directory/git-remote-https"
}

@test "every client that heeds variables, with those of trust.env" { play variables; tokens variables; }
@test "every client that reads /etc/ssl/certs, with certs/ mounted there and no variable" { play mounted; tokens mounted; }
@test "none of them with neither" { play none; }
