# How to fetch packages of Debian's unstable suite without touching the system: an apt of its own in a
# folder that goes with the script that sources this.
# shellcheck shell=bash disable=SC2034

# open_sid WHAT: makes that apt ready; WHAT is what the caller would have, for messages.
open_sid() {
  sid_wants=$1
  { command -v apt-get && command -v dpkg-deb; } >/dev/null || { say "no $sid_wants: apt-get and dpkg-deb are needed to fetch it"; exit 1; }
  sid_keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -e "$sid_keyring" ] || { say "no $sid_wants: $sid_keyring is missing (package debian-archive-keyring)"; exit 1; }
  mirror=$(find_mirror)
  mirror=${mirror:-https://deb.debian.org/debian}
  work=$(mktemp -d "$testbed/fetch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/lists/partial" "$work/archives/partial"
  # An empty status file makes apt resolve every dependency anew, instead of counting on what the
  # system has: those libraries would be of the wrong suite.
  : >"$work/status"
  echo "deb [signed-by=$sid_keyring] $mirror sid main" >"$work/sources.list"
}

# The mirror that this machine is configured with; the well-known one if that is hard to tell.
find_mirror() {
  { cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null || true; } |
    sed -nE 's/^(URIs:|deb( \[[^]]*\])?) *(https?:\/\/[^ ]*\/debian)\/?( .*)?$/\3/p' | sed -n 1p
}

sid_apt() {
  apt-get -q \
    -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- \
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=- \
    -o Dir::State="$work" -o Dir::State::Lists="$work/lists" -o Dir::State::Status="$work/status" \
    -o Dir::Cache="$work" -o Dir::Cache::Archives="$work/archives" \
    -o Acquire::Languages=none -o APT::Install-Recommends=false -o APT::Sandbox::User="$(id -un)" \
    "$@" >>"$work/log" 2>&1
}

# unpack_sid FOLDER apt-get's arguments: unpacks what they fetch in there.
unpack_sid() {
  local folder=$1 package
  shift
  say "fetching $sid_wants from $mirror (sid)"
  if ! { sid_apt update && (cd "$work/archives" && sid_apt "$@"); }; then
    tail -n 5 "$work/log" >&2
    say "no $sid_wants: it is not to be had from $mirror"
    exit 1
  fi
  for package in "$work"/archives/*.deb; do dpkg-deb -x "$package" "$folder"; done
  rm -rf "$folder"/usr/share/{doc,man,locale,lintian}
}

# wrap_sid PROGRAM WRAPPER ROOT: a script that starts a program with the C library it was built for,
# of the MySQL in the folder ROOT.
wrap_sid() {
  local loader libraries
  loader=$(find "$3" -name 'ld-linux*.so.*' | head -n 1)
  [ -n "$loader" ] || { say "no $sid_wants: its packages hold no program loader"; exit 1; }
  libraries=$(dirname "$(find "$3/usr/lib" -name 'libc.so.6' | head -n 1)")
  cat >"$2" <<WRAPPER
#!/bin/sh
exec "$loader" --argv0 "$1" --library-path "$libraries:$3/usr/lib/mysql/private" "$1" "\$@"
WRAPPER
  chmod +x "$2"
}
