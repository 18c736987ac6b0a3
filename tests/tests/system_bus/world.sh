#!/bin/sh
# world.sh PROGRAM: runs PROGRAM where a system bus and its services can do what they like. To be
# started in mount, pid and network namespaces of its own. /run is empty; /etc, /usr/share/dbus-1 and
# the services' folders in /var/lib are copies, or empty; the root file system cannot be written to.
set -eu

mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/world
for dir in /etc /usr/share/dbus-1; do
  copy=/run/world/$(basename "$dir")
  cp -a "$dir" "$copy"
  mount --bind "$copy" "$dir"
done
for dir in /var/lib/AccountsService /var/lib/colord /var/lib/udisks2 /var/lib/upower; do
  [ -d "$dir" ] || continue
  mount -t tmpfs -o mode=755 tmpfs "$dir"
done
if [ -d /var/lib/colord ]; then chown colord: /var/lib/colord; fi
mount -o remount,bind,ro /

# as the package's start script makes it
install -d -m 755 -o messagebus -g messagebus /run/dbus
cp "$SYSTEM_CONF" /usr/share/dbus-1/system.conf
mkdir -p /etc/dbus-1/system.d /usr/share/dbus-1/system.d
# further packages' policies, as install-services fetches them
policies=${PEER_CACHE:-/var/cache/peer-suites}/system.d
if [ -d "$policies" ]; then cp "$policies"/*.conf /usr/share/dbus-1/system.d; fi

# an ordinary user in netdev, whom a policy of Avahi's lets do more, and one more group for the bus
echo 'ann:x:4001:4001::/nonexistent:/usr/sbin/nologin' >> /etc/passwd
echo 'ann:x:4001:' >> /etc/group
sed -i '/^netdev:/d' /etc/group
echo 'netdev:x:4002:ann' >> /etc/group
echo 'busextra:x:4003:messagebus' >> /etc/group

# something for Avahi to tell
if [ -d /etc/avahi/services ]; then
  cat > /etc/avahi/services/bus.service <<'END'
<!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<service-group><name>bus</name><service><type>_bus-test._tcp</type><port>4711</port></service></service-group>
END
fi

ip link set lo up
exec "$@"
