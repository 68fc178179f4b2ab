#!/usr/bin/env bats
# The disk is full, read-only or broken while setup writes: what was there stays whole, the
# error names the file, and the next run puts everything right.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

setup_file() { suite_up; preload_library file_fault; }
setup() {
  test_up
  root one
  root two rsa2048
  give MITMPROXY_CA_DIR="$CA_DIR"
  # A volume each, so that one of them can be full.
  VOLUMES=("$LAB/confdir" "$LAB/export" "$LAB/state")
  mkdir "${VOLUMES[@]}"
  CONFDIR=$LAB/confdir/.mitmproxy EXPORT=$LAB/export/export STATE=$LAB/state/run/state
  BUNDLE=$EXPORT/merged-ca-certificates.pem
  give MITMPROXY_CONFDIR="$CONFDIR" EXPORT_DIR="$EXPORT" STATE_FILE="$STATE"
}
teardown() { unmount; lab_down; }
unmount() {
  local volume
  for volume in "${VOLUMES[@]}"; do
    while mountpoint -q "$volume"; do umount -l "$volume"; done
  done
}

# All as CA one left it; CA_DIR says two.
template() {
  tls_secret one
  in_pod setup prepare 2>"$LAB/log" || {
    cat "$LAB/log"
    return 1
  }
  mkdir "$LAB/template"
  cp -a "${VOLUMES[@]}" "$LAB/template"
  NAMES=$(names)
  tls_secret two
}
as_left() {
  local volume
  unmount
  for volume in "${VOLUMES[@]}"; do
    rm -rf "$volume"
    cp -a "$LAB/template/${volume##*/}" "$volume"
  done
}
names() { find "${VOLUMES[@]}" ! -path '*/certs/*' ! -name filler -printf '%p %y %m %U:%G\n' | sort; }
content() { find "$1" -type f ! -name filler -print0 | sort -z | xargs -0 sha256sum; }

# whole WHAT: every file in the three places is one that was, or one that is new and whole; nobody has lost a CA.
whole() {
  local pem=$CONFDIR/mitmproxy-ca.pem file
  if [[ $(openssl pkey -in "$pem" -pubout) == "$(openssl pkey -in "$PKI/one.key" -pubout)" ]]; then
    cmp -s "$pem" "$LAB/template/confdir/.mitmproxy/mitmproxy-ca.pem" || fault "$1: mitmproxy-ca.pem is neither old nor new"
  else
    same "$1: key" "$(openssl pkey -in "$PKI/two.key" -pubout)" "$(openssl pkey -in "$pem" -pubout)" || fault "$1: mitmproxy-ca.pem"
    # The old CA's key is gone, so the cross certificate must be there.
    openssl verify -no-CApath -no-CAstore -CAfile "$PKI/one.crt" -untrusted "$pem" "$pem" || fault "$1: no cross certificate"
  fi
  for file in "$CONFDIR/mitmproxy-ca-cert.pem" "$EXPORT/mitmproxy-ca-cert.pem"; do
    cmp -s "$file" "$PKI/one.crt" || cmp -s "$file" "$PKI/two.crt" || fault "$1: $file is neither old nor new"
  done
  for file in "$EXPORT/mitmproxy-ca-roots.pem" "$BUNDLE"; do
    fingerprints "$file" >"$LAB/found" || fault "$1: $file is damaged"
    grep -qx "$(fingerprint "$PKI/one.crt")" "$LAB/found" || fault "$1: $file has lost the old root"
    [[ $(tail -c 26 "$file") == '-----END CERTIFICATE-----' ]] || fault "$1: $file is cut off"
  done
  openssl pkcs12 -in "$EXPORT/mitmproxy-truststore.p12" -nokeys -passin pass:changeit -out "$LAB/found" || fault "$1: trust store"
  cmp -s "$EXPORT/trust.env" "$LAB/template/export/export/trust.env" || fault "$1: trust.env"
  has "$(sed -n '1p;$p' "$STATE" | paste -sd' ')" '^version=.*mitm.time=' || fault "$1: state file"
}
# failed WHAT FILE: setup has said so, naming the file, and has left everything whole.
failed() {
  [[ $STATUS != 0 && $STATUS -lt 124 ]] || fault "$1: status $STATUS"
  grep -E ' error ' <<<"$OUTPUT" | grep -qE -e "$2" || fault "$1: $2 not named: $OUTPUT"
  whole "$1"
  # Nothing is there that was not there before.
  same "$1: names" '' "$(comm -13 <(echo "$NAMES") <(names))" || fault "$1: left over"
}
# recovers WHAT: the next run, with nothing in the way, ends with all as it should be.
recovers() {
  attempt in_pod setup prepare
  [[ $STATUS == 0 ]] || fault "$1, next run: status $STATUS"
  local pem=$CONFDIR/mitmproxy-ca.pem
  same "$1" "$(openssl pkey -in "$PKI/two.key" -pubout)" "$(openssl pkey -in "$pem" -pubout)" || fault "$1, next run: key"
  openssl verify -no-CApath -no-CAstore -CAfile "$PKI/one.crt" -untrusted "$pem" "$pem" || fault "$1, next run: no cross certificate"
  same "$1" "$(fingerprint "$PKI/two.crt")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")" || fault "$1, next run: export"
  same "$1" "$({ fingerprint "$PKI/one.crt" && fingerprint "$PKI/two.crt"; } | sort)" "$(fingerprints "$EXPORT/mitmproxy-ca-roots.pem")" ||
    fault "$1, next run: roots"
}

# A few of the system's roots, where setup runs hundreds of times: it reads and writes all that are there.
few_roots() {
  local ssl=/etc/netns/$POD/ssl
  mkdir -p "$ssl/certs"
  cp /etc/ssl/openssl.cnf "$ssl"
  awk '/BEGIN/ && ++n > 10 { exit } { print }' /etc/ssl/certs/ca-certificates.crt >"$ssl/certs/ca-certificates.crt"
}

# faulty NAME:NUMBER:ERRNO CMD...: with that call failing; all calls of NAME are listed in $LAB/calls.
faulty() {
  : >"$LAB/calls"
  chmod 0666 "$LAB/calls"
  local fault=$1
  shift
  # A sanitizer wants to be the first that is loaded.
  in_pod env ASAN_OPTIONS="${ASAN_OPTIONS-}:verify_asan_link_order=0" \
    LD_PRELOAD="$STAGE/file_fault.so" FAULT="$fault" FAULT_LOG="$LAB/calls" timeout 10 "$@"
}
# every_call NAME ERRNO...: each call of that kind that a rotation makes fails once.
every_call() {
  local name=$1 errno total number path
  shift
  few_roots
  template
  as_left
  attempt faulty "$name:0:28" setup prepare
  [[ $STATUS == 0 ]]
  total=$(wc -l <"$LAB/calls")
  cat "$LAB/calls"
  ((total > 0)) || skip "setup makes no call of $name that can be seen"
  for ((number = 1; number <= total; number++)); do
    for errno; do
      as_left
      attempt faulty "$name:$number:$errno" setup prepare
      path=$(sed -n "s/^$number //p" "$LAB/calls" | sed 's/ (deleted)$//')
      if [[ $name == fsync && -d $path && $STATUS == 0 ]]; then
        # The file is in its place already.
        whole "$name $number ($path)"
      else
        # A temporary file is called after what it becomes.
        path=${path##*/}
        path=${path#.}
        failed "$name $number ($path)" "$(sed -E 's/\.[0-9a-f]{16}$//; s/[.]/\\./g' <<<"$path")"
        ((errno != 122)) || has "$OUTPUT" ' error .*: Disk quota exceeded$' || fault "$name $number ($path): quota is not named"
      fi
      recovers "$name $number ($path)"
    done
  done
  no_faults
}

@test "fsync fails (no space, quota), wherever it is called" { every_call fsync 28 122; }
@test "write fails in the middle (quota), wherever it is called" { every_call write 122; }
@test "rename fails (I/O error, quota), wherever it is called" { every_call rename 5 122; }
@test "a file cannot be created (no space, quota), wherever that is tried" { every_call create 28 122; }
@test "fchmod fails, wherever it is called" { every_call fchmod 1; }

@test "a first run that fails at any fsync, rename, mkdir or fchown leaves no half of a CA" {
  local name number total
  tls_secret two
  unset ${P}MITMPROXY_CA_DIR
  for name in fsync rename mkdir fchown; do
    for ((number = 1, total = 99; number <= total && number <= 8; number++)); do
      rm -rf "${VOLUMES[@]}"
      mkdir "${VOLUMES[@]}"
      attempt faulty "$name:$number:28" setup prepare
      [[ $STATUS != 0 || $name == fsync ]] || {
        total=0
        continue
      }
      # What is there is a CA, or is not there.
      [[ ! -e $CONFDIR/mitmproxy-ca.pem ]] ||
        same "$name $number" "$(openssl pkey -in "$CONFDIR/mitmproxy-ca.pem" -pubout)" "$(openssl x509 -in "$CONFDIR/mitmproxy-ca.pem" -noout -pubkey)" ||
        fault "$name $number: half of a CA"
      attempt in_pod setup prepare
      [[ $STATUS == 0 ]] || fault "$name $number, next run: status $STATUS"
      same "$name $number" "$(fingerprint "$CONFDIR/mitmproxy-ca.pem")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")" || fault "$name $number: export"
    done
  done
  no_faults
}

# setup_ends_before NAME: setup fails when it puts that file in its place.
setup_ends_before() {
  local number
  attempt faulty rename:0:5 setup prepare
  number=$(sed -n "s,^\([0-9]*\) $1\$,\1,p" "$LAB/calls")
  [[ -n $number ]] || return 1
  as_left
  attempt faulty "rename:$number:5" setup prepare
  [[ $STATUS != 0 ]]
}
@test "setup ends between the public files and the key: the CA in place keeps its own root, whatever CA_DIR has next" {
  local before next root name pem=$CONFDIR/mitmproxy-ca.pem
  root three
  template
  # The key in place: two, signed by one. (CA_DIR had two since the template.)
  as_left
  in_pod setup prepare
  rm -r "$LAB/template"
  mkdir "$LAB/template"
  cp -a "${VOLUMES[@]}" "$LAB/template"
  before=$(sha256sum "$pem")
  for next in none two three; do
    as_left
    tls_secret three
    give MITMPROXY_CA_DIR="$CA_DIR"
    setup_ends_before mitmproxy-ca.pem
    same "$next: mitmproxy-ca.pem" "$before" "$(sha256sum "$pem")" || fault "$next: mitmproxy-ca.pem"
    # The root is ahead of the key, which is what this is about.
    same "$next" "$(fingerprint "$PKI/three.crt")" "$(fingerprint "$CONFDIR/mitmproxy-ca-cert.pem")" || fault "$next: the order has changed"
    if [[ $next == none ]]; then unset ${P}MITMPROXY_CA_DIR; else tls_secret $next; fi
    attempt in_pod setup prepare
    [[ $STATUS == 0 ]] || fault "$next: status $STATUS"
    [[ $next == three ]] || same "$next" "$before" "$(sha256sum "$pem")" || fault "$next: mitmproxy-ca.pem is another one"
    root=$next
    [[ $next != none ]] || root=two
    same "$next" "$(fingerprint "$PKI/$root.crt")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")" || fault "$next: exported"
    same "$next" "$(fingerprint "$PKI/$root.crt")" "$(fingerprint "$CONFDIR/mitmproxy-ca-cert.pem")" || fault "$next: root"
    for name in one two; do
      # (What is first in the file is the key's by the CA before, and by no earlier one.)
      [[ $name == "$root" || $next-$name == three-one ]] ||
        openssl verify -no-CApath -no-CAstore -CAfile "$PKI/$name.crt" -untrusted "$pem" "$pem" || fault "$next: $name alone"
      grep -qx "$(fingerprint "$PKI/$name.crt")" <(fingerprints "$EXPORT/mitmproxy-ca-roots.pem") || fault "$next: $name is not exported"
    done
  done
  no_faults
}

# on_tmpfs VOLUME SIZE OPTIONS: the volume becomes a file system of its own.
on_tmpfs() {
  mv "$1" "$LAB/was"
  mkdir "$1"
  mount -t tmpfs -o "size=$2,mode=0755${3+,$3}" egress-lab "$1"
  cp -a "$LAB/was/." "$1"
  chown --reference="$LAB/was" "$1"
  rm -r "$LAB/was"
}
# full VOLUME FREE: all but FREE KiB of it are taken.
full() {
  dd if=/dev/zero of="$1/filler" bs=4k status=none 2>/dev/null || true
  truncate -s "-$(($2 * 1024))" "$1/filler"
}

@test "a full volume under confdir, export and state, with nothing or little left" {
  template
  local volume left size
  for volume in "${VOLUMES[@]}"; do
    case $volume in
      "$LAB/export") size=3m ;;
      *) size=128k ;;
    esac
    for left in 0 4 8 16 100 220 500; do
      [[ $volume == "$LAB/export" || $left -lt 8 ]] || continue
      as_left
      on_tmpfs "$volume" $size
      full "$volume" $left
      attempt in_pod timeout 10 setup prepare
      # What little is left may do.
      ((STATUS == 0 && left > 0)) || failed "${volume##*/}, $left KiB left" "$volume/"
      rm "$volume/filler"
      recovers "${volume##*/}, $left KiB left"
    done
  done
  no_faults
}

@test "a volume that has no inode left" {
  template
  local volume
  for volume in "${VOLUMES[@]}"; do
    as_left
    on_tmpfs "$volume" 3m nr_inodes=$(($(find "$volume" | wc -l) + 1))
    touch "$volume/filler" 2>/dev/null || true
    attempt in_pod timeout 10 setup prepare
    failed "${volume##*/}" "$volume/"
    mount -o remount,nr_inodes=1000 "$volume"
    recovers "${volume##*/}"
  done
  no_faults
}

@test "a read-only volume under confdir, export and state, when something is to be written" {
  template
  local volume
  for volume in "${VOLUMES[@]}"; do
    as_left
    mount --bind "$volume" "$volume"
    mount -o remount,ro,bind "$volume"
    attempt in_pod timeout 10 setup prepare
    failed "${volume##*/}" "$volume/"
    has "$OUTPUT" ' error .*Read-only' || fault "${volume##*/}: reason not named"
    # A CA that cannot be exported is none that mitmdump should use.
    same "${volume##*/}: confdir" "$(cd "$LAB/template/confdir" && content .)" "$(cd "$LAB/confdir" && content .)" || fault "${volume##*/}: confdir"
    unmount
    recovers "${volume##*/}"
  done
  no_faults
}

@test "read-only confdir and export are no fault when nothing is to be written" {
  template
  as_left
  tls_secret one
  local volume before
  for volume in "$LAB/confdir" "$LAB/export"; do
    mount --bind "$volume" "$volume"
    mount -o remount,ro,bind "$volume"
  done
  before=$(content "$LAB/confdir" && content "$LAB/export")
  attempt in_pod timeout 10 setup
  [[ $STATUS == 0 ]]
  up healthd
  attempt app_curl https://shop.example.test/
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1$'
  same files "$before" "$(content "$LAB/confdir" && content "$LAB/export")"
}
