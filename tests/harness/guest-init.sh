#!/bin/sh
# SPDX-License-Identifier: MIT
# guest-init.sh ROOM STAGE NOTIFY: becomes systemd. guest.py runs it as PID 1 of fresh namespaces.
#
# The machine's files are seen through an overlay whose upper layer is in memory, with STAGE's on
# top. systemd finds no units but those named below, what STAGE brings and what packages install, and
# tells NOTIFY when it has booted.
set -eu
room=$1 stage=$2 notify=$3
root=$room/root
units=$root/run/systemd/system

mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$room"
mkdir "$room/upper" "$room/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$room/upper,workdir=$room/work" overlay "$root"
rm -rf "$root/lib/systemd/system"
mkdir "$root/lib/systemd/system"
cp -R "$stage/." "$root"

# Of the kernel's settings only the network's are this namespace's own.
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

rm -rf "$root/etc/systemd/system"
mkdir -p "$units" "$root/etc/systemd/system" "$root/etc/systemd/journald.conf.d" "$root/etc/credstore"
for unit in systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket \
    sockets.target multi-user.target; do
    cp "/lib/systemd/system/$unit" "$units"
done
for target in sysinit basic shutdown; do
    printf '[Unit]\nDefaultDependencies=no\n' >"$units/$target.target"
done
printf '[Unit]\nDefaultDependencies=no\nRequires=systemd-journald.service\n' >"$units/guest.target"
printf '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n' \
    >"$root/etc/systemd/journald.conf.d/guest.conf"
: >"$root/etc/machine-id"

cd "$root"
mkdir .old
pivot_root . .old
umount -l /.old
rmdir /.old
mount --make-rshared / # or LoadCredential= shows the service an empty directory
exec env -i container=guest NOTIFY_SOCKET="$notify" PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
    SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/systemd/system:/run/systemd/transient:/usr/local/lib/systemd/system:/lib/systemd/system \
    /lib/systemd/systemd --unit=guest.target --log-target=journal
