# Shared part of the suite runners: sourced by them, not run.
#
# A runner prints one line a case and a closing count:
#   ok   CASE
#   skip CASE -- REASON
#   FAIL CASE -- REASON
#   N passed, N failed, N skipped
# and exits 0 when nothing failed and something passed, 77 when the suite
# could not be set up, 1 otherwise. CASE never contains " -- ".
#
# Environment:
#   PEER_CACHE     where virtual environments and downloads are kept
#   PEER_CASE_S    seconds one case may take (default 30)
#   PEER_BUDGET_S  seconds the whole suite may take (default 900)
#   PEER_VERBOSE   not empty: print the whole output of pytest as well
#   PEER_KEEP      a directory that receives a copy of the logs
set -u
umask 022
HERE=$(cd "$(dirname "$0")" && pwd)
ME=$(basename "$0")
[ $# -ge 1 ] || { echo "usage: $ME DAEMON_BINARY" >&2; exit 2; }
DAEMON=$(readlink -f "$(command -v "$1" || echo "$1")")
[ -x "$DAEMON" ] || { echo "$ME: no executable '$1'" >&2; exit 2; }
export PEER_CACHE=${PEER_CACHE:-/var/cache/peer-suites}
CASE_S=${PEER_CASE_S:-30}
BUDGET_S=${PEER_BUDGET_S:-900}
mkdir -p "$PEER_CACHE"
. "$HERE/packages.sh"

# --- isolation ------------------------------------------------------------

# Starts the runner again in process and mount namespaces of its own: whatever
# a bus or a service leaves behind ends with it, and the machine's /run/dbus
# is not touched.
sandbox() {
  if [ -z "${PEER_INSIDE:-}" ] && unshare -m -p -f --mount-proc true 2>/dev/null; then
    export PEER_INSIDE=1
    # the inner shell stays the first process: the runner itself would ignore signals
    timeout -k 10 $((BUDGET_S + 60)) unshare -m -p -f --kill-child=KILL --mount-proc \
      bash -c 'bash "$0" "$@"; rc=$?; exit $rc' "$0" "$@"
    exit $?
  fi
  T0=$SECONDS
  if [ -n "${PEER_INSIDE:-}" ]; then private_mounts; fi
  WORK=$(mktemp -d "/tmp/peer-$ME.XXXXXX")
  chmod 755 "$WORK"
  trap 'clean_up $?' EXIT
  trap 'exit 124' TERM INT
  mkdir -p "$WORK/bin" "$WORK/home" "$WORK/log"
  mkdir -m 700 "$WORK/run"
  # other users (messagebus, peertest) must be able to execute it
  if command -v runuser >/dev/null && ! runuser -u nobody -- test -x "$DAEMON" 2>/dev/null; then
    install -m 755 "$DAEMON" "$WORK/bin/daemon"
    DAEMON=$WORK/bin/daemon
  fi
  ln -s "$DAEMON" "$WORK/bin/dbus-daemon"
  export PATH=$WORK/bin:$PATH XDG_RUNTIME_DIR=$WORK/run HOME=$WORK/home LC_ALL=C.UTF-8
  export XDG_CONFIG_HOME=$HOME/.config XDG_DATA_HOME=$HOME/.local/share XDG_CACHE_HOME=$HOME/.cache
  mkdir -p "$XDG_CONFIG_HOME" "$XDG_DATA_HOME" "$XDG_CACHE_HOME"
  unset DBUS_SESSION_BUS_ADDRESS DBUS_SYSTEM_BUS_ADDRESS DBUS_STARTER_ADDRESS DISPLAY
}

# A /run/dbus of its own, and a /tmp unless something that is needed lies there.
private_mounts() {
  case "$DAEMON:$HERE:$PEER_CACHE:${PEER_KEEP:-}:${CARGO_HOME:-}:$PWD" in
    /tmp/*|*:/tmp/*) ;;
    *) mount -t tmpfs -o mode=1777 tmpfs /tmp;;
  esac
  mkdir -p /run/dbus && mount -t tmpfs -o mode=755 tmpfs /run/dbus 2>/dev/null
}

clean_up() {  # clean_up EXIT_CODE
  trap - EXIT
  stop_buses
  if [ -n "${PEER_KEEP:-}" ]; then rm -rf "$PEER_KEEP" && cp -r "$WORK/log" "$PEER_KEEP"; fi
  rm -rf "$WORK"
  exit "$1"
}

left_s() { echo $((BUDGET_S - (SECONDS - T0))); }

# --- an ordinary user -----------------------------------------------------
RUN=()   # what stands before each program of the suite, and each bus
AS=      # and before each case's name

# need_user: makes the user peertest, if it is not there.
need_user() {
  id peertest >/dev/null 2>&1 || useradd --system --create-home --shell /bin/sh peertest ||
    not_set_up "cannot make the user peertest"
}

# From here on the suite is run as peertest, with a home and a runtime directory
# of its own: what root may do hides what everybody else may not.
go_on_as_user() {
  local home=$WORK/user
  install -d -m 700 -o peertest -g peertest "$home" "$home/run"
  RUN=(setpriv --reuid=peertest --regid=peertest --init-groups env HOME="$home" XDG_RUNTIME_DIR="$home/run"
    XDG_CONFIG_HOME="$home/.config" XDG_DATA_HOME="$home/.local/share" XDG_CACHE_HOME="$home/.cache")
  AS=as-user/
}

# --- buses ----------------------------------------------------------------
BUS_PIDS=()

# wait_address FILE PID: prints the address once its line is complete.
wait_address() {
  local i
  for i in $(seq 100); do
    if [ "$(wc -l < "$1")" -ge 1 ]; then head -1 "$1"; return 0; fi
    kill -0 "$2" 2>/dev/null || return 1
    sleep 0.1
  done
  return 1
}

# Ends the suite when the daemon does not even start.
start_session_bus() {
  : >"$WORK/session.addr"
  "${RUN[@]}" "$DAEMON" --session --nofork --print-address >"$WORK/session.addr" 2>"$WORK/log/session-bus.err" </dev/null &
  BUS_PIDS+=($!)
  if ! DBUS_SESSION_BUS_ADDRESS=$(wait_address "$WORK/session.addr" $!); then
    bad "session bus starts" "$(tail -2 "$WORK/log/session-bus.err")"
    finish
  fi
  export DBUS_SESSION_BUS_ADDRESS
}

# The machine's own system.conf, in the foreground. A daemon that refuses it
# fails this case and every case that needs the system bus, and no other.
start_system_bus() {
  mkdir -p /run/dbus
  "$DAEMON" --config-file=/usr/share/dbus-1/system.conf --nofork --nopidfile --print-address \
    >"$WORK/system.addr" 2>"$WORK/log/system-bus.err" </dev/null &
  BUS_PIDS+=($!)
  if DBUS_SYSTEM_BUS_ADDRESS=$(wait_address "$WORK/system.addr" $!); then
    export DBUS_SYSTEM_BUS_ADDRESS
    ok "system bus starts"
  else
    unset DBUS_SYSTEM_BUS_ADDRESS
    bad "system bus starts" "$(tail -2 "$WORK/log/system-bus.err")"
  fi
}

stop_buses() {
  local p
  for p in "${BUS_PIDS[@]:-}"; do [ -n "$p" ] && kill "$p" 2>/dev/null; done
  BUS_PIDS=()
}

# --- results --------------------------------------------------------------
NP=0 NF=0 NS=0
one_line() { tr '\n' ' ' | cut -c1-300; }
ok()   { NP=$((NP+1)); echo "ok   $AS$1"; }
bad()  { NF=$((NF+1)); echo "FAIL $AS$1 -- $(one_line <<<"${*:2}")"; }
skip() { NS=$((NS+1)); echo "skip $AS$1 -- $(one_line <<<"${*:2}")"; }
finish() {
  echo "$NP passed, $NF failed, $NS skipped"
  [ $NF = 0 ] && [ $NP -gt 0 ]
  exit $?
}
in_time() {  # in_time CASE: fails the case when the suite's time is spent
  [ "$(left_s)" -gt 0 ] || { bad "$1" "not run: time budget spent"; return 1; }
}

# --- kinds of test programs -------------------------------------------------

# glib_cases NAME BINARY: a GLib test program, each case in a process of its
# own, since a failed assertion aborts the process and would hide the rest.
glib_cases() {
  local name=$1 bin=$2 cases c line rc pattern
  cases=$(timeout 20 "$bin" -l 2>/dev/null </dev/null | grep '^/')
  [ -n "$cases" ] || { tap_whole "$name" "$bin"; return; }
  while read -r c; do
    in_time "$name:$c" || continue
    "${RUN[@]}" timeout -k 5 "$CASE_S" "$bin" --tap -p "$c" >"$WORK/log/tap" 2>"$WORK/log/tap.err" </dev/null
    rc=$?
    pattern=$(sed 's/[][\.*^$+?(){}|]/\\&/g' <<<"$c")
    line=$(grep -E "^(not )?ok [0-9]+ (- )?$pattern( |\$)" "$WORK/log/tap" | tail -1)
    if [ -n "$line" ] && grep -qi '# *skip' <<<"$line"; then skip "$name:$c" "${line#*#}"
    elif [[ $line == ok* ]] && [ $rc = 0 ]; then ok "$name:$c"
    elif [ -z "$line" ] && [ $rc = 77 ]; then skip "$name:$c" "exit code 77"
    else bad "$name:$c" "(rc $rc)" "$(grep -hE 'ERROR|Bail out|assert|not ok' "$WORK/log/tap" "$WORK/log/tap.err" | tail -1)"
    fi
  done <<<"$cases"
}

# tap_whole NAME BINARY [PREFIX-COMMAND...]: a TAP program run as a whole, with
# TAP_ARG (default --tap). A case is named NAME:DESCRIPTION, or NAME:NUMBER.
tap_whole() {
  local name=$1 bin=$2 rc l plan=0 seen=0 failed_before=$NF
  shift 2
  in_time "$name" || return
  "${RUN[@]}" "$@" timeout -k 5 $((CASE_S * 4)) "$bin" ${TAP_ARG---tap} >"$WORK/log/tap" 2>"$WORK/log/tap.err" </dev/null
  rc=$?
  while read -r l; do
    case $l in
      "1..0"*) skip "$name" "${l#*#}"; return;;
      "1.."*) plan=${l#1..}; plan=${plan%%[!0-9]*};;
      ok*|"not ok"*) seen=$((seen+1)); tap_case "$name" "$l";;
    esac
  done < "$WORK/log/tap"
  # an exit code that no case accounts for, or too few cases
  if [ $rc = 77 ] || [ $NF -gt "$failed_before" ]; then rc=0; fi
  if [ "$plan" -gt "$seen" ] || [ $rc != 0 ] || [ $((plan + seen)) = 0 ]; then
    bad "$name:whole" "ended early (rc $rc, $seen of $plan)" "$(tail -2 "$WORK/log/tap.err")"
  fi
}
tap_case() {  # tap_case NAME TAP-LINE
  local text=${2#not } reason=
  text=${text#ok }
  case $text in *"#"*) reason=${text#*#}; text=${text%%#*};; esac
  # the number is the name only where there is no description
  text=$(sed -E 's/^([0-9]+) (- )?([^ ])/\3/; s/ +$//' <<<"$text")
  case $2:$reason in
    ok*:*[Ss][Kk][Ii][Pp]*) skip "$1:$text" "$reason";;
    ok*) ok "$1:$text";;
    *) bad "$1:$text" "$reason";;
  esac
}

# run_pytest DIRECTORY ARGUMENT...: results are read from the line that pytest
# prints as each test ends, so that a run that was cut short or crashed still
# tells what it did. Needs VPY, with pytest-timeout installed.
run_pytest() {
  local dir=$1 l state id n=0 rc
  shift
  (cd "$dir" && PYTHONUNBUFFERED=1 COLUMNS=250 "${RUN[@]}" timeout -k 10 "$(left_s)" "$VPY" -m pytest -p no:cacheprovider \
    -o addopts= -v -rfE --tb=short --timeout "$CASE_S" "$@") >"$WORK/log/pytest" 2>&1 </dev/null
  rc=$?
  while read -r l; do
    state=$(sed -E 's/.* (PASSED|FAILED|SKIPPED|ERROR|XFAIL|XPASS)( .*)?$/\1/' <<<"$l")
    id=${l% "$state"*}
    n=$((n+1))
    case $state in
      PASSED|XFAIL) ok "$id";;
      SKIPPED) skip "$id" "${l#*SKIPPED}";;
      *) bad "$id" "$(grep -F -m1 -- "$state $id - " "$WORK/log/pytest" | sed 's/^.* - //')";;
    esac
  done < <(grep -E '^[^ ]+::.* (PASSED|FAILED|SKIPPED|ERROR|XFAIL|XPASS)( .*)?$' "$WORK/log/pytest" | grep -vE '^(FAILED|ERROR) ')
  if [ $n = 0 ] || [ $rc -ge 2 ]; then bad "pytest:whole" "ended with $rc after $n tests: $(tail -3 "$WORK/log/pytest")"; fi
  [ -z "${PEER_VERBOSE:-}" ] || cat "$WORK/log/pytest"
}
