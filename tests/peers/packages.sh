# Installing what a suite needs: sourced by lib.sh and install. What cannot be
# had ends the caller with exit code 77 and is counted as skipped.
# Expects ME (the caller's name) and PEER_CACHE.
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

not_set_up() {  # not_set_up REASON
  echo "$ME: $1"
  echo "0 passed, 0 failed, 1 skipped"
  exit 77
}

# need_apt PACKAGE...: installs what is missing, without starting any service.
need_apt() {
  local missing=() p log=$PEER_CACHE/apt-$ME.log
  for p in "$@"; do
    dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} = 0 ] && return 0
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' > $policy
    chmod 755 $policy
    made=1
  fi
  apt_install "${missing[@]}" >"$log" 2>&1 || { apt-get update >>"$log" 2>&1; apt_install "${missing[@]}" >>"$log" 2>&1; }
  local rc=$?
  [ -n "$made" ] && rm -f $policy
  [ $rc = 0 ] || not_set_up "apt could not install ${missing[*]} (see $log)"
}
apt_install() { apt-get -o DPkg::Lock::Timeout=900 -y --no-install-recommends install "$@"; }

# need_venv NAME [--site] PIP-SPEC...: sets VPY to the Python of a virtual environment.
need_venv() {
  local name=$1 site= log=$PEER_CACHE/pip-$1.log venv=$PEER_CACHE/venv-$1
  shift
  if [ "${1:-}" = --site ]; then site=--system-site-packages; shift; fi
  need_apt python3-venv python3-pip
  [ -x "$venv/bin/python" ] || /usr/bin/python3 -m venv $site "$venv" || not_set_up "no virtual environment in $venv"
  VPY=$venv/bin/python
  [ "$(cat "$venv/.specs" 2>/dev/null)" = "$*" ] && return 0
  timeout 900 "$VPY" -m pip install -q "$@" >"$log" 2>&1 || not_set_up "pip could not install $* (see $log)"
  echo "$*" > "$venv/.specs"
}

# need_sdist NAME==VERSION: sets SDIST to the unpacked source archive.
need_sdist() {
  local name=${1%%==*} dir=$PEER_CACHE/sdist-${1//[^A-Za-z0-9.]/_}
  SDIST=$dir/src
  [ -d "$SDIST" ] && return 0
  rm -rf "$dir"
  mkdir -p "$dir/download" "$dir/src.part"
  timeout 900 "$VPY" -m pip download -q --no-deps --no-binary ":all:" -d "$dir/download" "$1" >"$PEER_CACHE/sdist-$name.log" 2>&1 &&
    tar xf "$dir"/download/*.tar.gz -C "$dir/src.part" --strip-components=1 && mv "$dir/src.part" "$SDIST" ||
    not_set_up "no source archive of $1 (see $PEER_CACHE/sdist-$name.log)"
}
