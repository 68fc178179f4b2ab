# shellcheck shell=bash
# A healthd with another backoff, which is a matter of building.

# variant NAME FLAGS: VARIANT becomes the path of healthd built with these flags, in a place
# where every user can enter. (Kept in build/NAME, for the next run.)
variant() {
  local build=build${SANITIZE:+/sanitize}/$1
  env -u MAKEFLAGS -u MAKELEVEL -u BUILD make -s -C "$ROOT" BUILD="$build" SANITIZE="${SANITIZE-}" \
    CFLAGS="$2" "$build/healthd"
  mkdir -p "$STAGE/$1"
  cp "$ROOT/$build/healthd" "$STAGE/$1/healthd"
  export VARIANT=$STAGE/$1/healthd
}
