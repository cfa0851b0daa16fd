# Where the testbed keeps what it fetches: outside the repository, so that `git clean` and fresh
# clones do not cost another download. Sourced by the scripts beside it.
# shellcheck shell=bash disable=SC2034

testbed=${MILLPOND_TESTBED:-${XDG_CACHE_HOME:-${HOME:?HOME is not set; set MILLPOND_TESTBED to a folder}/.cache}/millpond/testbed}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
drivers=$(cd "$here/.." && pwd)/drivers

say() { printf 'testbed: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# is_done NAME FINGERPRINT: whether part NAME was completed from just these inputs.
is_done() { [ -f "$testbed/$1.done" ] && [ "$(cat "$testbed/$1.done")" = "$2" ]; }

# set_done NAME FINGERPRINT: written last, so that an interrupted step is repeated.
set_done() { printf '%s\n' "$2" >"$testbed/$1.done"; }
