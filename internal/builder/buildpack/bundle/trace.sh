# Every bash of a build that is to be traced reads this first.
if { true >&9; } 2>/dev/null; then BASH_XTRACEFD=9; fi
set -x
