#!/bin/sh
# world.sh PROGRAM: runs PROGRAM as an ordinary user with empty folders, where every dbus-daemon is our
# daemon. To be started in mount, pid and network namespaces of its own. /run and /tmp are empty, so no
# system bus is there and no display; what the user may write to ends with the namespaces.
set -eu

mount -t tmpfs -o mode=755 tmpfs /run
touch /run/case
mount --bind "$1" /run/case
# where at-spi-bus-launcher looks for it, too
mount --bind "$BUS_DAEMON" /usr/bin/dbus-daemon
mount --bind "$SESSION_CONF" /usr/share/dbus-1/session.conf
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir -m 1777 /tmp/.X11-unix

cp /etc/passwd /run/passwd
echo 'ann:x:4001:4001::/run/ann:/bin/sh' >> /run/passwd
mount --bind /run/passwd /etc/passwd
install -d -m 700 -o 4001 -g 4001 /run/ann /run/user /run/user/4001
chmod 755 /run/user

ip link set lo up
exec setpriv --reuid=4001 --regid=4001 --clear-groups env HOME=/run/ann XDG_RUNTIME_DIR=/run/user/4001 /run/case
