#!/bin/bash
# Makes a root file system at $TREE from Debian's packages. It runs as the
# first process of a process and a mount namespace of its own, so that nothing
# of it runs or stays mounted when it has ended, however it ends.
#
# Told by the environment: TREE, WORK, SUITE, MIRROR (may be empty), PACKAGES
# (names; "runtimes" stands for what this machine runs languages with), UID_APP.
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true
mount --make-rprivate /
mount -t proc proc /proc
umask 022

say() { echo "==> $*"; }
. /etc/os-release
own=${VERSION_CODENAME:-}
archive=$MIRROR
if [ -z "$archive" ]; then
  while read -r uri codename; do
    if [ "$codename" = "$SUITE" ] && [ -z "$archive" ]; then archive=$uri; fi
  done < <(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' 2>/dev/null || true)
fi
archive=${archive:-http://deb.debian.org/debian}

say "Unpacking Debian $SUITE from $archive"
debootstrap --variant=minbase "$SUITE" "$TREE" "$archive" 2>&1 | { grep -v '^I: \(Retrieving\|Validating\|Extracting\|Unpacking\|Configuring\)' || true; }

# apt of this machine, working in the tree: its way to the archives is the
# machine's, its hooks are not.
{
  apt-config dump --format '%f "%v";%n' Acquire | grep -v '"";$' | grep -v 'Acquire::IndexTargets' || true
  cat <<END
Dir "$TREE";
Dir::State::status "$TREE/var/lib/dpkg/status";
Dir::Etc::parts "$WORK/none";
Dir::Etc::trusted "/etc/apt/trusted.gpg";
Dir::Etc::trustedparts "/etc/apt/trusted.gpg.d";
Dir::Bin::dpkg "$(command -v dpkg)";
DPkg::Chroot-Directory "$TREE";
DPkg::Use-Pty "false";
DPkg::Options:: "--force-confnew";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Install-Suggests "false";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
END
  if [ -n "$MIRROR" ] || [ "$SUITE" != "$own" ]; then
    echo "deb $archive $SUITE main" >"$WORK/sources.list"
    echo "Dir::Etc::sourcelist \"$WORK/sources.list\";"
    echo "Dir::Etc::sourceparts \"$WORK/none\";"
  else
    echo 'Dir::Etc::sourcelist "/etc/apt/sources.list";'
    echo 'Dir::Etc::sourceparts "/etc/apt/sources.list.d";'
  fi
} >"$WORK/apt.conf.new"
mkdir -p "$WORK/none" "$WORK/local"
mv "$WORK/apt.conf.new" "$WORK/apt.conf"
export APT_CONFIG=$WORK/apt.conf

mount -t proc proc "$TREE/proc"
printf '#!/bin/sh\nexit 101\n' >"$TREE/usr/sbin/policy-rc.d" # no service is started
chmod 0755 "$TREE/usr/sbin/policy-rc.d"

# machine asks about the machine itself, not the tree.
machine() { env -u APT_CONFIG "$@"; }

# local_only succeeds when a package is installed here in a version that is
# newer than all the archives have.
local_only() {
  local installed newest
  installed=$(machine dpkg-query -W -f='${Version}' "$1" 2>/dev/null) || return 1
  newest=$(apt-cache madison "$1" 2>/dev/null | awk -F'|' '{gsub(/ /, "", $2); print $2}' | head -n 1)
  [ -z "$newest" ] || dpkg --compare-versions "$installed" gt "$newest"
}

# owner is the package a command's file belongs to. The package may know it
# below /bin where it is now below /usr/bin.
owner() {
  local file
  for file in "$(realpath "$1")" "$1" "$(realpath "$1" | sed 's|^/usr||')"; do
    machine dpkg-query -S "$file" 2>/dev/null | head -n 1 | cut -d: -f1 | grep . && return
  done
  return 1
}

# repack makes a package again from its files on this machine, and from what
# was put into the folders that are its alone: npm replaces itself in its own.
repack() {
  local name=$1 dir=$WORK/repack/$1 script
  mkdir -p "$dir/DEBIAN"
  machine dpkg-query -L "$name" | sort -u >"$WORK/listed"
  for list in /var/lib/dpkg/info/*.list; do
    case ${list##*/} in "$name.list" | "$name:"*) ;; *) cat "$list" ;; esac
  done | sort -u >"$WORK/others"
  comm -23 "$WORK/listed" "$WORK/others" | while IFS= read -r file; do
    if [ -d "$file" ] && [ ! -L "$file" ]; then find "$file" -xdev; fi
  done | sort -u - "$WORK/listed" | while IFS= read -r file; do
    if [ "$file" != /. ] && { [ -e "$file" ] || [ -L "$file" ]; }; then printf '%s\n' "${file#/}"; fi
  done | tar -C / --no-recursion --verbatim-files-from --files-from=- -cf - | tar -C "$dir" -xf -
  machine dpkg-query -s "$name" | sed -e '/^Status:/d' -e '/^Conffiles:/,/^[^ ]/{/^Conffiles:/d;/^ /d}' >"$dir/DEBIAN/control"
  for script in $(machine dpkg-query --control-list "$name"); do
    case $script in
      preinst | postinst | prerm | postrm) install -m 0755 "$(machine dpkg-query --control-path "$name" "$script")" "$dir/DEBIAN/$script" ;;
    esac
  done
  dpkg-deb --root-owner-group -Znone --build "$dir" "$WORK/local/$name.deb" >/dev/null
  rm -rf "$dir"
}

# runtimes names the packages this machine runs the languages of the bundled
# buildpacks with, and what it has of their libraries: slugs lean on them.
runtimes() {
  local command file
  for command in bash python3 node npm ruby bundle rackup puma perl plackup starman php java; do
    file=$(command -v "$command") || continue
    owner "$file" || echo "$command $file" >>"$WORK/unowned"
  done
  machine dpkg-query -W -f='${db:Status-Abbrev} ${Section} ${Package}\n' | awk '
    $1 != "ii" { next }
    $3 ~ /-(dev|doc|pip|whl|wheel|venv|dbg|apt|dbus|gi|setuptools)$/ || $3 ~ /-whl$|software-properties|lazr|wadllib|^libdpkg-perl$|^composer$|^php-symfony|^python3-dev|^libalgorithm/ { next }
    $2 ~ /^(python|ruby|php|perl)$/ { print $3 }'
}

say "Reading the package lists"
apt-get -q update 2>&1 | { grep '^[EW]:' || true; }
wanted=()
for name in ca-certificates tzdata $PACKAGES; do
  if [ "$name" = runtimes ]; then
    if [ "$SUITE" != "$own" ]; then
      say "This machine is ${own:-no Debian}: its language runtimes are not those of $SUITE, and slugs built here may not run there"
      wanted+=(python3 ruby perl)
      continue
    fi
    mapfile -t found < <(runtimes | sort -u)
    wanted+=("${found[@]}")
  else
    wanted+=("$name")
  fi
done
install=()
for name in "${wanted[@]}"; do
  if [[ $name != *[=/]* ]] && [ "$SUITE" = "$own" ] && local_only "$name"; then
    say "$name is in no archive as this machine has it: copied from here"
    repack "$name"
    install+=("$WORK/local/$name.deb")
  else
    install+=("$name")
  fi
done

# What dpkg unpacks it must see in the tree.
mkdir -p "$TREE$WORK/local"
mount --bind "$WORK/local" "$TREE$WORK/local"
say "Installing updates and ${#install[@]} packages"
apt-get -qq -y dist-upgrade 2>&1 | { grep '^[EW]:' || true; }
apt-get -q -y install "${install[@]}" >"$WORK/install.log" 2>&1 || {
  grep '^E:\|^ \|^dpkg: error' "$WORK/install.log" | tail -n 20
  exit 1
}
grep '^[0-9]* upgraded' "$WORK/install.log" || true
umount "$TREE$WORK/local"
(cd "$TREE" && rmdir -p ".$WORK/local" 2>/dev/null) || true
mkdir -p "$TREE/tmp"
chmod 1777 "$TREE/tmp"

if [ -f "$WORK/unowned" ]; then
  while read -r command file; do
    if [ -f "$file" ] && [ ! -L "$file" ] && [ "$(head -c 4 "$file" | tail -c 3)" = ELF ]; then
      say "$command is of no package: $file is copied from this machine"
      install -D -m 0755 "$file" "$TREE$file"
    else
      say "$command is of no package ($file): it is not in the stack"
    fi
  done <"$WORK/unowned"
fi

say "Cleaning up"
chroot "$TREE" groupadd --gid "$UID_APP" app
chroot "$TREE" useradd --uid "$UID_APP" --gid "$UID_APP" --home-dir /app --no-create-home --shell /bin/bash app
mkdir -p "$TREE/app"
chown "$UID_APP:$UID_APP" "$TREE/app"
umount "$TREE/proc"
cd "$TREE"
find proc sys dev run tmp var/tmp var/log var/cache var/lib/apt/lists -mindepth 1 -delete 2>/dev/null || true
rm -rf usr/sbin/policy-rc.d etc/resolv.conf etc/hostname etc/machine-id etc/apt/sources.list etc/passwd- etc/group- etc/shadow- etc/gshadow- etc/subuid- etc/subgid- \
  var/lib/dpkg/*-old var/lib/dpkg/available var/lib/dbus/machine-id var/lib/systemd/*seed etc/ssh/ssh_host_* root/.bash_history var/lib/apt/extended_states usr/share/doc usr/share/man usr/share/info usr/share/lintian usr/include
echo "deb $archive $SUITE main" >etc/apt/sources.list
: >etc/machine-id
# The day an account was made is no part of it.
sed -i -E 's/^([^:]*:[^:]*):[0-9]*:/\1:1:/' etc/shadow
chroot "$TREE" dpkg-query -W -f='${Package} ${Version}\n' >"$WORK/packages"
say "$(wc -l <"$WORK/packages") packages, $(du -sm . | cut -f1) MB"
