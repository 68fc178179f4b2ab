# shellcheck shell=bash
# A certificate authority for tests, good and bad, and Secrets as kubelet lays
# them out. Work is done in directory $PKI.

# new_key NAME KIND: $PKI/NAME.key (PKCS#8).
new_key() {
  mkdir -p "$PKI"
  case $2 in
    rsa*) openssl genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:${2#rsa}" -out "$PKI/$1.key" ;;
    pss*) openssl genpkey -algorithm RSA-PSS -pkeyopt "rsa_keygen_bits:${2#pss}" -out "$PKI/$1.key" ;;
    ec-*) openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:${2#ec-}" -pkeyopt ec_param_enc:named_curve -out "$PKI/$1.key" ;;
    *) openssl genpkey -algorithm "$2" -out "$PKI/$1.key" ;;
  esac 2>"$PKI/log" || {
    cat "$PKI/log"
    return 1
  }
}

day() { date -u -d "$1" +%Y%m%d%H%M%SZ; }

# What a CA's certificate says, unless a test wants it otherwise.
CA_EXTENSIONS='basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid'

# certify NAME [ISSUER]: $PKI/NAME.crt for $PKI/NAME.key, self-signed without ISSUER.
# From the caller's variables: SUBJECT (/CN=NAME), START, END (as `date` takes them),
# DIGEST, EXTENSIONS, KEY (the name of another key), SIGOPT (options).
certify() {
  local name=$1 key=${KEY-$1} signer
  signer=(-keyfile "$PKI/$key.key" -selfsign)
  (($# == 1)) || signer=(-keyfile "$PKI/$2.key" -cert "$PKI/$2.crt")
  cat >"$PKI/ca.cnf" <<CONFIG
[req]
distinguished_name = dn
[dn]
[ca]
default_ca = it
[it]
database = $PKI/index
new_certs_dir = $PKI
rand_serial = yes
unique_subject = no
default_md = ${DIGEST-sha256}
policy = any
[any]
commonName = optional
organizationName = optional
CONFIG
  : >"$PKI/index"
  echo "${EXTENSIONS-$CA_EXTENSIONS}" >"$PKI/extensions"
  # shellcheck disable=SC2015,SC2086 # either may fail; SIGOPT is options
  openssl req -new -config "$PKI/ca.cnf" -key "$PKI/$key.key" -subj "${SUBJECT-/CN=$name}" -out "$PKI/request" 2>"$PKI/log" &&
    openssl ca -batch -notext -config "$PKI/ca.cnf" -in "$PKI/request" -out "$PKI/$name.crt" \
      -startdate "$(day "${START--1 day}")" -enddate "$(day "${END-+1 year}")" -extfile "$PKI/extensions" \
      ${SIGOPT-} "${signer[@]}" 2>>"$PKI/log" || {
    cat "$PKI/log"
    return 1
  }
}

# For EXTENSIONS: a key identifier that is not the SHA-1 of the key.
# shellcheck disable=SC2034 # for the suites
ODD_EXTENSIONS=${CA_EXTENSIONS/=hash/=0102030405060708090a0b0c0d0e0f1011121314}

# root NAME [KIND]: a CA of its own.
root() {
  new_key "$1" "${2-ec-P-256}" && certify "$1"
}
# intermediate NAME ISSUER [KIND]
intermediate() {
  new_key "$1" "${3-ec-P-256}" &&
    EXTENSIONS=${EXTENSIONS-${CA_EXTENSIONS/CA:TRUE/CA:TRUE,pathlen:0}} certify "$1" "$2"
}

# The PEM forms of a private key: key_form NAME pkcs8|pkcs1|sec1|sec1-parameters
key_form() {
  case $2 in
    pkcs8) openssl pkey -in "$PKI/$1.key" ;;
    pkcs1) openssl rsa -in "$PKI/$1.key" -traditional 2>/dev/null ;;
    sec1) openssl ec -in "$PKI/$1.key" 2>/dev/null ;;
    # As `openssl ecparam -genkey` writes it.
    sec1-parameters) openssl ecparam -name "$(curve "$1")" && openssl ec -in "$PKI/$1.key" 2>/dev/null ;;
  esac
}
curve() { openssl pkey -in "$PKI/$1.key" -noout -text | sed -n 's/^ASN1 OID: //p'; }

# secret DIRECTORY NAME=FILE...: a Secret volume as kubelet makes and updates it:
# the files in a directory of their own, `..data` a link to that, replaced by
# rename, and each name a link through it.
secret() {
  local dir=$1 data name
  shift
  mkdir -p "$dir"
  chmod 1777 "$dir"
  data=$(mktemp -d "$dir/..2026_11_24_XXXXXX")
  chmod 0755 "$data"
  for name; do
    install -m "${SECRET_MODE-0644}" "${name#*=}" "$data/${name%%=*}"
    ln -sfn "..data/${name%%=*}" "$dir/${name%%=*}"
  done
  local old
  old=$(readlink "$dir/..data" || true)
  ln -s "${data##*/}" "$dir/..data_tmp"
  mv -T "$dir/..data_tmp" "$dir/..data"
  [[ -z $old ]] || rm -r "${dir:?}/$old"
}
# The Secret of CA NAME in directory $CA_DIR: tls.crt, tls.key, ca.crt as cert-manager makes it.
# tls_secret NAME [ROOT]
tls_secret() {
  secret "$CA_DIR" "tls.crt=$PKI/$1.crt" "tls.key=$PKI/$1.key" "ca.crt=$PKI/${2-$1}.crt"
}

# pem NAME...: key of the first, certificates of all, as mitmproxy keeps it.
pem() {
  local name
  cat "$PKI/$1.key"
  for name; do cat "$PKI/$name.crt"; done
}
