#!/bin/sh
# Container entrypoint.
#   (no arguments)   one container does everything: CA first, then healthd, and
#                    the redirect as soon as mitmdump listens
#   setup ...        the init container
#   healthd ...      the sidecar behind an init container
#   anything else    is run as it stands
set -eu

case ${1-} in
setup | healthd)
  exec "$@"
  ;;
'')
  # A shell that is PID 1 has no default action for SIGTERM.
  trap 'exit 0' TERM INT
  status=0
  setup prepare || status=$?
  # A bad configuration (78) will not mend itself. With anything else healthd
  # stays up and says on /healthz what is missing.
  [ "$status" -ne 78 ] || exit 78
  # The redirect waits for mitmdump, which only healthd starts; it must not
  # outlive healthd, which takes the place of this shell.
  if [ "$status" -eq 0 ]; then
    (exec setup redirect --wait --while=$$) &
  fi
  exec healthd
  ;;
*)
  exec "$@"
  ;;
esac
