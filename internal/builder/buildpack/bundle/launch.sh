#!/bin/bash
# Starts one process of a slug: its environment first, then the command line.
cd "${0%/*}/../app" || exit 1
export HOME=${HOME:-$PWD}
for script in .profile.d/*.sh .profile; do
  if [ -r "$script" ]; then . "./$script"; fi
done
unset script
exec bash -c "$*"
