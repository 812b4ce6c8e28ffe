#!/bin/bash
# Runs one build inside its sandbox: picks the buildpacks, compiles with each,
# asks each what to run. What it found goes into files of OUT: detected, one
# name a line; release-<n>, YAML; failure, the kind, the buildpack and the code.
#
# driver.sh BUILD CACHE IN OUT WORK BUNDLE PACK...; the packs are the bundled
# ones in the order they are asked. IN holds env/ and, when the user chose
# buildpacks, plan: one "bundled <name>" or "git <key> <url> <ref>" a line, the
# key being the name of the repository's copy in the cache.
BUILD=$1 CACHE=$2 IN=$3 OUT=$4 WORK=$5 BUNDLE=$6
shift 6

# A traced build shows every command of the driver and of buildpacks in bash. It
# goes past what scripts capture, and each shell decides for itself: options
# handed on in SHELLOPTS would change what a build does.
trace() {
  exec 9>&2
  export BASH_ENV=$BUNDLE/trace.sh
  . "$BASH_ENV"
}
if [ -s "$IN/env/DEIS_BUILDPACK_DEBUG" ]; then trace; fi

fail() { # kind buildpack code
  printf '%s\n' "$@" >"$OUT/failure"
  exit 1
}

quiet_git() {
  GIT_TERMINAL_PROMPT=0 GIT_ASKPASS=/bin/true GIT_ALLOW_PROTOCOL=https:http:git:ssh:file \
    GIT_HTTP_LOW_SPEED_LIMIT=1000 GIT_HTTP_LOW_SPEED_TIME=20 \
    GIT_SSH_COMMAND='ssh -o BatchMode=yes -o ConnectTimeout=20 -o StrictHostKeyChecking=accept-new' \
    timeout 180 git "$@" </dev/null
}

submodules() { # dir
  [ ! -f "$1/.gitmodules" ] || quiet_git -C "$1" submodule --quiet update --init --recursive
}

clone() { # url ref dir: shallow where the server can, else all of it
  if [ -z "$2" ]; then
    quiet_git clone --quiet --depth 1 -- "$1" "$3"
  else
    local said
    if said=$(quiet_git clone --quiet --depth 1 --branch "$2" -- "$1" "$3" 2>&1); then return; fi
    case $said in
      *"Remote branch"*) quiet_git clone --quiet -- "$1" "$3" && quiet_git -C "$3" checkout --quiet --detach "$2" -- ;;
      *)
        printf '%s\n' "$said"
        return 1
        ;;
    esac
  fi
}

# fetch brings a buildpack to a directory of its own, from the cache when the
# repository cannot be reached.
fetch() { # url ref dir key
  local at=$CACHE/.slipway/buildpacks/$4
  if [ -d "$at/.git" ]; then
    quiet_git -C "$at" fetch --quiet --depth 1 origin "${2:-HEAD}" 2>/dev/null &&
      quiet_git -C "$at" reset --quiet --hard FETCH_HEAD && submodules "$at" ||
      echo "(the repository did not answer, its copy in the cache is used)"
  else
    rm -rf "$at" "$at.new"
    mkdir -p "${at%/*}"
    clone "$1" "$2" "$at.new" && submodules "$at.new" && mv "$at.new" "$at" || return 1
  fi
  cp -a "$at" "$3"
}

# detect sets name to what the buildpack calls the app, or fails. Bundled
# scripts run in a fork of this shell, which costs a tenth of a new one.
detect() { # dir
  case $1 in
    "$BUNDLE"/*) name=$(. "$1/bin/detect" "$BUILD") || return ;;
    *) name=$("$1/bin/detect" "$BUILD" </dev/null 2>/dev/null) || return ;;
  esac
  name=${name%%$'\n'*}
  name=${name//[^[:print:]]/}
  name=${name:-Custom}
}

compile() { # dir name
  [ -x "$1/bin/compile" ] || fail incomplete "$2" bin/compile
  "$1/bin/compile" "$BUILD" "$CACHE" "$IN/env" </dev/null 2>&1 || fail compile "$2" $?
}

hook() { # bin/pre-compile or bin/post-compile of the app
  [ -f "$1" ] || return 0
  echo "-----> Running $1"
  if [ -x "$1" ]; then "./$1" </dev/null; else bash "$1" </dev/null; fi 2>&1 || fail hook "$1" $?
}

cd "$BUILD" || exit 1
packs=() names=()
if [ -f "$IN/plan" ]; then
  while read -r kind what url ref; do
    dir=$BUNDLE/$what
    if [ "$kind" = git ]; then
      echo "-----> Fetching custom buildpack"
      dir=$WORK/pack-${#packs[@]}
      fetch "$url" "$ref" "$dir" "$what" 2>&1 || fail fetch "${#packs[@]}" 1
      [ -f "$dir/bin/detect" ] || fail incomplete "${#packs[@]}" bin/detect
      chmod -R u+x "$dir/bin" 2>/dev/null
    fi
    detect "$dir" || fail refused "${#packs[@]}" 1
    packs+=("$dir") names+=("$name")
  done <"$IN/plan"
else
  for pack in "$@"; do
    if detect "$BUNDLE/$pack"; then
      packs=("$BUNDLE/$pack") names=("$name")
      break
    fi
  done
fi
[ ${#packs[@]} -gt 0 ] || fail undetected - 1
printf '%s\n' "${names[@]}" >"$OUT/detected"

hook bin/pre-compile
for n in "${!packs[@]}"; do
  echo "-----> ${names[n]} app detected"
  compile "${packs[n]}" "${names[n]}"
  if [ -x "${packs[n]}/bin/release" ]; then
    "${packs[n]}/bin/release" "$BUILD" </dev/null >"$OUT/release-$n" || fail release "${names[n]}" $?
  fi
  # What a buildpack exports is for the next one.
  if [ -f "${packs[n]}/export" ]; then . "${packs[n]}/export"; fi
done
hook bin/post-compile
exit 0
