#!/bin/sh
# A certificate authority for an afternoon, and what it has signed:
#
#   tools/certificate.sh [directory]      (build/certificates)
#
#   ca.pem                       the authority: clients trust it by `tls.ca`
#   localhost.pem, .key          localhost, *.localhost, 127.0.0.1 and ::1
#   other.pem, .key              other.test and *.wild.test
#   client.pem, .key             a client's, for servers with `tls.verify`
#   self.pem, .key               signed by nobody, for localhost
#   expired.pem, .key            no longer valid
#   locked.key                   the key of localhost, with a password
#   rsa.pem, .key                as localhost, but with RSA
#
# For trying things out: the keys are readable, nothing of it is a secret.
# What is there already and will be valid tomorrow is left as it is.
set -eu
cd "$(dirname "$0")/.."
directory=${1:-build/certificates}
done=$directory/done
if [ -f "$done" ] &&
  openssl x509 -in "$directory/localhost.pem" -checkend 86400 -noout >/dev/null
then
  exit 0
fi

mkdir -p "$directory"
new=$(mktemp -d "$directory/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM

quietly() {
  if ! "$@" >"$new/log" 2>&1; then
    cat "$new/log" >&2
    exit 1
  fi
}

key() {
  case $1 in
    rsa) quietly openssl genrsa -out "$new/$1.key" 2048 ;;
    *) quietly openssl ecparam -genkey -name prime256v1 -noout \
      -out "$new/$1.key" ;;
  esac
}

request() { # file, common name
  key "$1"
  quietly openssl req -new -key "$new/$1.key" -subj "/O=evws/CN=$2" \
    -out "$new/$1.csr"
}

sign() { # file, extensions; more arguments for openssl x509
  file=$1
  printf 'basicConstraints=CA:FALSE\n%s\n' "$2" >"$new/$file.ext"
  shift 2
  quietly openssl x509 -req -in "$new/$file.csr" -CA "$new/ca.pem" \
    -CAkey "$new/ca.key" -set_serial "0x$(openssl rand -hex 8)" \
    -extfile "$new/$file.ext" -out "$new/$file.pem" "$@"
}

names='subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1,IP:::1'

key ca
quietly openssl req -x509 -new -key "$new/ca.key" -days 30 \
  -subj '/O=evws/CN=evws throw-away CA' -out "$new/ca.pem"
for file in localhost rsa; do
  request $file localhost
  sign $file "$names" -days 30
done
request other other.test
sign other 'subjectAltName=DNS:other.test,DNS:*.wild.test' -days 30
request client 'a client'
sign client 'extendedKeyUsage=clientAuth' -days 30
request expired localhost
sign expired "$names" -days -1
key self
quietly openssl req -x509 -new -key "$new/self.key" -days 30 \
  -subj '/CN=localhost' -addext "$names" -out "$new/self.pem"
quietly openssl ec -in "$new/localhost.key" -aes128 -passout pass:secret \
  -out "$new/locked.key"

rm -f "$new/"*.csr "$new/"*.ext "$new/log" "$new/ca.key"
mv "$new/"* "$directory/"
: >"$done"
