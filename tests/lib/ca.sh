# shellcheck shell=bash
# CAs of every kind, good and bad.

# make_ca DIRECTORY KIND: writes key.pem, cert.pem and ca.pem (key, then
# certificate) into DIRECTORY. KIND is rsa or ec, or names what is wrong with it.
make_ca() {
  local dir=$1 kind=$2 start end extensions=$'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign' key=(-algorithm EC -pkeyopt ec_paramgen_curve:P-256)
  mkdir -p "$dir"
  start=$(date -u -d '-1 day' +%Y%m%d%H%M%SZ) end=$(date -u -d '+1 year' +%Y%m%d%H%M%SZ)
  case $kind in
    rsa) key=(-algorithm RSA -pkeyopt rsa_keygen_bits:2048) ;;
    expired) end=$(date -u -d '-1 hour' +%Y%m%d%H%M%SZ) ;;
    not-yet) start=$(date -u -d '+1 hour' +%Y%m%d%H%M%SZ) ;;
    ends-*) end=$(date -u -d "+${kind#ends-} days" +%Y%m%d%H%M%SZ) ;; # days from now
    leaf) extensions='basicConstraints=critical,CA:FALSE' ;;
    no-constraints) extensions='subjectAltName=DNS:fixed.test' ;;
    no-signing) extensions=${extensions/keyCertSign,cRLSign/digitalSignature} ;;
  esac
  printf '%s\nsubjectKeyIdentifier=hash\n' "$extensions" >"$dir/extensions"
  cat >"$dir/ca.cnf" <<CONFIG
[ca]
default_ca = it
[it]
database = $dir/index
new_certs_dir = $dir
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
CONFIG
  : >"$dir/index"
  openssl genpkey "${key[@]}" -out "$dir/key.pem" 2>/dev/null
  openssl req -new -config "$STAGE/pki/req.conf" -key "$dir/key.pem" -subj "/CN=Fixed $kind" -out "$dir/request"
  openssl ca -batch -notext -config "$dir/ca.cnf" -selfsign -keyfile "$dir/key.pem" -in "$dir/request" \
    -startdate "$start" -enddate "$end" -extfile "$dir/extensions" -out "$dir/cert.pem" 2>"$dir/log" || {
    cat "$dir/log"
    return 1
  }
  if [[ $kind == other-key ]]; then
    openssl genpkey "${key[@]}" -out "$dir/key.pem" 2>/dev/null
  elif [[ $kind == encrypted ]]; then
    openssl pkey -in "$dir/key.pem" -aes128 -passout pass:secret -out "$dir/encrypted.pem"
    mv "$dir/encrypted.pem" "$dir/key.pem"
  fi
  cat "$dir/key.pem" "$dir/cert.pem" >"$dir/ca.pem"
}

# place_ca FILE [OWNER MODE [DIRECTORY_OWNER DIRECTORY_MODE]]: make it the CA in the confdir.
place_ca() {
  install -d -o "${4-0}" -g "${4-0}" -m "${5-0755}" "$CONFDIR"
  install -o "${2-0}" -g "${2-0}" -m "${3-0600}" "$1" "$CONFDIR/mitmproxy-ca.pem"
}

# The SHA-256 fingerprints of all certificates in file $1, sorted.
fingerprints() {
  /usr/bin/python3 - "$1" <<'PYTHON'
import base64, hashlib, re, sys
text = open(sys.argv[1], encoding="ascii").read()
blocks = re.findall("-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----", text)
print("\n".join(sorted(hashlib.sha256(base64.b64decode(block)).hexdigest() for block in blocks)))
PYTHON
}
