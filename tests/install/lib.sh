# What the scripts of this folder share: sourced by them, not run. A case prints one line:
#   ok   CASE
#   skip CASE -- REASON
#   FAIL CASE -- REASON
one_line() { tr '\n' ' ' | cut -c1-600; }
ok()   { echo "ok   $1"; }
bad()  { echo "FAIL $1 -- $(one_line <<<"${*:2}")"; }
skip() { echo "skip $1 -- $(one_line <<<"${*:2}")"; }

works() {  # works CASE COMMAND...: the command succeeds
  local output rc=0
  output=$("${@:2}" 2>&1 </dev/null) || rc=$?
  if [ $rc = 0 ]; then ok "$1"; else bad "$1" "exit code $rc: $output"; fi
}

equal() {  # equal CASE EXPECTED FOUND
  if [ "$2" = "$3" ]; then ok "$1"; else bad "$1" "$3 instead of $2"; fi
}

wait_for() {  # wait_for COMMAND...: until it succeeds, ten seconds at most
  local _
  for _ in $(seq 100); do
    "$@" >/dev/null 2>&1 && return 0
    sleep 0.1
  done
  return 1
}

# use_bus NAME --system|--user: three programs of other projects call the bus, and ours where it is installed.
use_bus() {
  local dbus_send=--system gdbus=--system
  [ "$2" = --system ] || { dbus_send=--session gdbus=--session; }
  works "$1: busctl lists the names" busctl "$2" --no-pager list
  works "$1: gdbus asks for the id" gdbus call $gdbus -d org.freedesktop.DBus -o /org/freedesktop/DBus \
    -m org.freedesktop.DBus.GetId
  works "$1: dbus-send pings the bus" dbus-send $dbus_send --print-reply --dest=org.freedesktop.DBus \
    /org/freedesktop/DBus org.freedesktop.DBus.GetId
  ! command -v bus >/dev/null || works "$1: bus lists the names" bus "$2" list
}
