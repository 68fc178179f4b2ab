#!/usr/bin/env bats
# An addon is code that runs where the key is: nobody else may be able to write it.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/addons.sh"

@test "an addon that others can write: refused by setup, with the path, unless it is allowed" {
  local how
  for how in "${WRITABLE[@]}"; do
    writable "$how"
    attempt in_pod setup
    [[ $STATUS == 78 ]] || fault "$how: status $STATUS"
    has "$OUTPUT" " error .*: $PLACE \(uid .* by $BY( or whom an ACL names)?;" || fault "$how: path and writer not named"
    has "$OUTPUT" "${P}MITMPROXY_WRITABLE_SCRIPTS" || fault "$how: the override is not named"
    [[ $(grep -c ' error ' <<<"$OUTPUT") == 1 ]] || fault "$how: more than one error line"
    nothing_of_ours || fault "$how: rules"
    attempt with MITMPROXY_WRITABLE_SCRIPTS=1 setup
    [[ $STATUS == 0 ]] || fault "$how: not allowed"
    in_pod setup clear
  done
  # The second of several.
  writable 'file, all'
  attempt with MITMPROXY_SCRIPT="$STAGE/usr/share/opensandbox/mitmscripts/add_header.py,$SCRIPT" setup
  [[ $STATUS == 78 ]] || fault "the second: status $STATUS"
  # And those that ship with the project.
  addon
  cp -a "$STAGE/usr/share/opensandbox/mitmscripts" "$LAB/shipped"
  chmod 0777 "$LAB/shipped"
  attempt with MITMPROXY_SCRIPTS_DIR="$LAB/shipped" setup
  [[ $STATUS == 78 ]] || fault "shipped: status $STATUS"
  has "$OUTPUT" "$LAB/shipped" || fault 'shipped: not named'
  no_faults
}

# accepted WHAT: by setup
accepted() {
  attempt in_pod setup
  [[ $STATUS == 0 ]] || fault "$1: status $STATUS"
}
@test "an addon that only root and the mitmproxy user can write is accepted" {
  addon
  beside helper.py && beside helper/__init__.py && beside __pycache__/helper.cpython-311.pyc
  accepted 'of root'
  # What leads nowhere, and where nobody can write.
  ln -s /etc/passwd/x.py "$ADDONS/mine/nowhere.py"
  chown -R $MITM_UID:$MITM_UID "$ADDONS"
  accepted 'of the mitmproxy user'
  chmod 1777 "$ADDONS"
  accepted 'below a sticky directory'
  ln -s mine "$ADDONS/link"
  give MITMPROXY_SCRIPT="$ADDONS/link/../link/./addon.py"
  accepted 'by a link in a sticky directory'
  no_faults
}

@test "an addon as kubelet puts it into a volume is accepted, if others cannot write to the volume" {
  addon
  secret "$ADDONS/map" addon.py="$SCRIPT" helper.py="$SCRIPT"
  give MITMPROXY_SCRIPT="$ADDONS/map/addon.py"
  attempt in_pod setup
  [[ $STATUS == 78 ]]
  has "$OUTPUT" ": $ADDONS/map \(uid 0, gid 0, mode 1777\)"
  chmod 0755 "$ADDONS/map"
  accepted 'closed'
  # A single file of it, mounted by subPath.
  install -d "$ADDONS/mounted"
  cp --no-dereference "$ADDONS/map/..data/helper.py" "$ADDONS/mounted/addon.py"
  give MITMPROXY_SCRIPT="$ADDONS/mounted/addon.py"
  accepted 'one file'
  no_faults
}

# Python opens byte code by its name, for which permission to search is enough.
@test "a directory of an addon that the mitmproxy user cannot list: refused, unless it cannot be searched either" {
  addon
  beside __pycache__/addon.cpython-311.pyc
  chmod 0711 "$ADDONS/mine/__pycache__"
  attempt in_pod setup
  [[ $STATUS == 78 ]] || fault "searched: status $STATUS"
  has "$OUTPUT" "$ADDONS/mine/__pycache__: Permission denied.*${P}MITMPROXY_WRITABLE_SCRIPTS"
  chmod 0700 "$ADDONS/mine/__pycache__"
  accepted 'closed'
  chmod 0711 "$ADDONS/mine"
  attempt in_pod setup
  [[ $STATUS == 78 ]] || fault "the addon's own: status $STATUS"
  has "$OUTPUT" "$ADDONS/mine/: Permission denied"
  no_faults
}

@test "an addon that others can write meanwhile: named in healthd's 503, mitmdump is not started, unless it is allowed" {
  local how
  for how in 'file, group of root' 'directory above' 'link to a link' 'byte code of another user' 'module, all'; do
    addon
    in_pod setup
    writable "$how"
    spawn healthd healthd
    named() { [[ $(healthz) == 503*": $PLACE (uid"* ]]; }
    wait_until 5 named || fault "$how: $(healthz)"
    same "$how: mitmdump" '' "$(mitmdump_pid)" || fault "$how: mitmdump runs"
    down
  done
  give MITMPROXY_WRITABLE_SCRIPTS=1
  up healthd
  attempt app_curl https://shop.example.test/
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1$'
  no_faults
}
