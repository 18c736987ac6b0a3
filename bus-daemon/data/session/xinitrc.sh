# A message bus for a session that is started without systemd. Put these lines into .xinitrc, or another
# file that starts the session, before the first program that needs the bus; the programs after them
# find it by the variable. A bus that is there already is used.
#
# The bus ends with the shell that reads these lines: the window manager must not replace that shell,
# so start it without "exec".
if [ -z "${DBUS_SESSION_BUS_ADDRESS-}" ] &&
	bus=$(/usr/bin/bus-daemon --session --fork --print-address --print-pid)
then
	DBUS_SESSION_BUS_ADDRESS=$(printf '%s\n' "$bus" | sed -n 1p)
	export DBUS_SESSION_BUS_ADDRESS
	# shellcheck disable=SC2064 # the number is known now
	trap "kill $(printf '%s\n' "$bus" | sed -n 2p)" EXIT
	# Not every shell runs that when a signal ends it, as one does that ends a session.
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	unset bus
fi
