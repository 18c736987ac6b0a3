# Builds and installs the message bus and the command `bus`: `make`, `make install`, `make uninstall`. `make man-html` writes the
# manual as HTML.
#
#   make install DESTDIR=/tmp/stage PREFIX=/usr SYSCONFDIR=/etc LOCALSTATEDIR=/var
#
# PREFIX says where the program, its documentation, its units and its helper go. It does not say where
# the bus looks for its configuration: that is built in, because other packages put their files there.
# These places are the same for every PREFIX:
#
#   /usr/share/dbus-1      the standard configurations, and what packages add to them
#   /etc/dbus-1            what the administrator adds
#   /run/dbus              socket and pid file of the system bus (named in system.conf)
#   /var/lib/dbus          one of the two places of the machine's id, besides /etc/machine-id
#
# A standard configuration or a dbus.socket of another package is left alone. Ours are with the
# examples as well, and the configurations are also built into the program.

PREFIX = /usr
SYSCONFDIR = /etc
LOCALSTATEDIR = /var
BINDIR = $(PREFIX)/bin
LIBEXECDIR = $(PREFIX)/libexec
OLDNAMESDIR = $(LIBEXECDIR)/bus/old-names
MANDIR = $(PREFIX)/share/man
DOCDIR = $(PREFIX)/share/doc/bus-daemon
UNITDIR = $(PREFIX)/lib/systemd/system
USERUNITDIR = $(PREFIX)/lib/systemd/user
SYSUSERSDIR = $(PREFIX)/lib/sysusers.d
TMPFILESDIR = $(PREFIX)/lib/tmpfiles.d
CONFIGDIR = /usr/share/dbus-1

CARGO = cargo
CARGO_TARGET_DIR ?= target
INSTALL = install

D = $(DESTDIR)
DATA = bus-daemon/data
BUILT = $(CARGO_TARGET_DIR)/release
EXAMPLES = $(DOCDIR)/examples
HELPER = $(LIBEXECDIR)/bus-daemon-launch-helper
# Files that name the program or the helper are installed with the names of this installation.
NAMES = sed -e 's|/usr/bin/bus-daemon|$(BINDIR)/bus-daemon|g' -e 's|/usr/libexec/bus-daemon-launch-helper|$(HELPER)|g'
# What the files have in them that another package may have, too.
OURS = Part of bus-daemon
CONFIGURATION_IS_OURS = grep -qs '$(OURS)' '$(D)$(CONFIGDIR)/session.conf' '$(D)$(CONFIGDIR)/system.conf'
# Where packages and administrators put their files. Another package that has the configuration has
# these directories, too.
DIRECTORIES = $(CONFIGDIR)/session.d $(CONFIGDIR)/system.d $(CONFIGDIR)/services \
	$(CONFIGDIR)/system-services $(SYSCONFDIR)/dbus-1/session.d $(SYSCONFDIR)/dbus-1/system.d \
	$(LOCALSTATEDIR)/lib/dbus

# The pages that are installed with the programs; the one about the crate is not.
MANUAL = bus-daemon.1 bus-daemon-launch-helper.1 bus.conf.5 bus-interfaces.7 bus-policy.7 \
	bus.1 bus-call.1 bus-compat.1 bus-list.1 bus-monitor.1 bus-run.1
# page-file PAGE: where it goes.
page-file = $(MANDIR)/man$(subst .,,$(suffix $(1)))/$(1)

# The other names of the command bus: for who has their directory first in PATH.
OLD_NAMES = $(notdir $(wildcard tools/old-names/*))

# Where the shells look for what completes a command.
COMPLETIONS = $(PREFIX)/share/bash-completion/completions/bus $(PREFIX)/share/zsh/site-functions/_bus \
	$(PREFIX)/share/fish/vendor_completions.d/bus.fish

# completion-of FILE: which of ours it is.
completion-of = tools/src/commands/completions/bus.$(if $(findstring /fish/,$(1)),fish,$(if $(findstring /zsh/,$(1)),zsh,bash))

LOGIND = systemd-logind.service.d/bus-daemon.conf
# The link that systemd-tmpfiles makes.
MACHINE_ID = $(LOCALSTATEDIR)/lib/dbus/machine-id

# put MODE,SOURCE,TARGET: installs one file with its names replaced.
define put
$(INSTALL) -d '$(D)$(dir $(3))'
$(NAMES) '$(2)' > '$(D)$(3).new'
chmod $(1) '$(D)$(3).new'
mv '$(D)$(3).new' '$(D)$(3)'

endef

# put-unless-taken SOURCE,TARGET: the same, where no other package has the file.
define put-unless-taken
@if [ -e '$(D)$(2)' ] && ! grep -q '$(OURS)' '$(D)$(2)'; then \
	echo 'left alone, since it belongs to another package: $(2)'; \
else \
	$(INSTALL) -d '$(D)$(dir $(2))' && $(NAMES) '$(1)' > '$(D)$(2).new' && \
	chmod 644 '$(D)$(2).new' && mv '$(D)$(2).new' '$(D)$(2)' && echo 'installed $(2)'; \
fi

endef

# take-back TARGET: removes a file that is ours.
define take-back
@if [ -e '$(D)$(1)' ] && grep -q '$(OURS)' '$(D)$(1)'; then rm -f '$(D)$(1)'; fi

endef

# remove-empty DIRECTORIES: as far as nobody has put anything there.
remove-empty = for directory in $(1); do \
	if [ -d "$(D)$$directory" ]; then rmdir --ignore-fail-on-non-empty "$(D)$$directory"; fi; done

.PHONY: all install uninstall check-places man-html

# One after the other: built together, the daemon would have the features that the command wants of libbus.
all:
	$(CARGO) build --release --locked --package bus-daemon
	$(CARGO) build --release --locked --package bus-tools

# A link leads to another of these pages, or to Debian's: mandoc looks which files there are.
man-html: HTML = $(abspath $(CARGO_TARGET_DIR))/man
man-html:
	$(INSTALL) -d '$(HTML)'
	cd man && for page in *; do \
		mandoc -T html -O 'man=%N.%S.html;https://manpages.debian.org/%N.%S' "$$page" > "$(HTML)/$$page.html" || exit 1; \
	done

check-places:
	@if [ '$(SYSCONFDIR)' != /etc ] || [ '$(LOCALSTATEDIR)' != /var ] || \
	    [ '$(CONFIGDIR)' != /usr/share/dbus-1 ]; then \
		echo 'SYSCONFDIR, LOCALSTATEDIR and CONFIGDIR are built into the program: /etc, /var, /usr/share/dbus-1' >&2; \
		exit 1; \
	fi
	@for program in bus-daemon bus; do \
		if [ ! -x "$(BUILT)/$$program" ]; then echo "run \"make\" first: there is no $(BUILT)/$$program" >&2; exit 1; fi; \
	done

install: check-places
	$(INSTALL) -d '$(D)$(BINDIR)' '$(D)$(UNITDIR)/sockets.target.wants'
	$(INSTALL) -m 755 '$(BUILT)/bus-daemon' '$(D)$(BINDIR)/bus-daemon'
	$(INSTALL) -m 755 '$(BUILT)/bus' '$(D)$(BINDIR)/bus'
	$(INSTALL) -d '$(D)$(LIBEXECDIR)' '$(D)$(OLDNAMESDIR)'
	for name in $(OLD_NAMES); do ln -sf '$(BINDIR)/bus' "$(D)$(OLDNAMESDIR)/$$name" || exit 1; done
	$(INSTALL) -m 755 '$(BUILT)/bus-daemon-launch-helper' '$(D)$(HELPER)'
	$(foreach file,$(COMPLETIONS),$(call put,644,$(call completion-of,$(file)),$(file)))
	$(foreach page,$(MANUAL),$(call put,644,man/$(page),$(call page-file,$(page))))
	$(call put-unless-taken,$(DATA)/session.conf,$(CONFIGDIR)/session.conf)
	$(call put-unless-taken,$(DATA)/system.conf,$(CONFIGDIR)/system.conf)
	$(call put,644,$(DATA)/system.d/org.libbus.conf,$(CONFIGDIR)/system.d/org.libbus.conf)
	@if $(CONFIGURATION_IS_OURS); then $(INSTALL) -d $(addprefix '$(D)',$(DIRECTORIES)); fi
	$(call put-unless-taken,$(DATA)/systemd/system/dbus.socket,$(UNITDIR)/dbus.socket)
	ln -sf ../dbus.socket '$(D)$(UNITDIR)/sockets.target.wants/dbus.socket'
	$(call put,644,$(DATA)/systemd/system/bus-daemon.service,$(UNITDIR)/bus-daemon.service)
	$(call put,644,$(DATA)/systemd/system/$(LOGIND),$(UNITDIR)/$(LOGIND))
	$(call put,644,$(DATA)/systemd/user/bus-daemon.service,$(USERUNITDIR)/bus-daemon.service)
	$(call put,644,$(DATA)/systemd/user/bus-daemon.socket,$(USERUNITDIR)/bus-daemon.socket)
	$(call put,644,$(DATA)/sysusers.d/bus-daemon.conf,$(SYSUSERSDIR)/bus-daemon.conf)
	$(call put,644,$(DATA)/tmpfiles.d/bus-daemon.conf,$(TMPFILESDIR)/bus-daemon.conf)
	$(foreach file,README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE,$(call put,644,$(file),$(DOCDIR)/$(file)))
	$(foreach file,$(wildcard $(DATA)/examples/*) $(DATA)/session.conf $(DATA)/system.conf \
		$(DATA)/systemd/bus-daemon-hardened.conf $(DATA)/session/xinitrc.sh,\
		$(call put,644,$(file),$(EXAMPLES)/$(notdir $(file))))
	$(call put,755,$(DATA)/openrc/bus-daemon,$(EXAMPLES)/openrc/bus-daemon)
	$(call put,755,$(DATA)/runit/run,$(EXAMPLES)/runit/run)

# Directories go when they are empty.
uninstall:
	rm -f '$(D)$(BINDIR)/bus-daemon' '$(D)$(BINDIR)/bus' '$(D)$(HELPER)'
	rm -f $(foreach name,$(OLD_NAMES),'$(D)$(OLDNAMESDIR)/$(name)')
	@$(call remove-empty,$(OLDNAMESDIR) $(dir $(OLDNAMESDIR)) $(LIBEXECDIR))
	rm -f $(COMPLETIONS:%='$(D)%')
	@$(call remove-empty,$(foreach file,$(COMPLETIONS),$(dir $(file)) $(dir $(patsubst %/,%,$(dir $(file))))))
	rm -f $(foreach page,$(MANUAL),'$(D)$(call page-file,$(page))')
	rm -f '$(D)$(UNITDIR)/bus-daemon.service' '$(D)$(UNITDIR)/$(LOGIND)' $(addprefix '$(D)$(USERUNITDIR)'/bus-daemon.,service socket)
	rm -f '$(D)$(SYSUSERSDIR)/bus-daemon.conf' '$(D)$(TMPFILESDIR)/bus-daemon.conf'
	rm -f '$(D)$(CONFIGDIR)/system.d/org.libbus.conf'
	rm -rf '$(D)$(DOCDIR)'
	$(call take-back,$(UNITDIR)/dbus.socket)
	@if [ ! -e '$(D)$(UNITDIR)/dbus.socket' ]; then rm -f '$(D)$(UNITDIR)/sockets.target.wants/dbus.socket'; fi
	@if $(CONFIGURATION_IS_OURS); then \
		if [ -L '$(D)$(MACHINE_ID)' ]; then rm -f '$(D)$(MACHINE_ID)'; fi; \
		$(call remove-empty,$(DIRECTORIES)); \
	fi
	$(call take-back,$(CONFIGDIR)/session.conf)
	$(call take-back,$(CONFIGDIR)/system.conf)
	@$(call remove-empty,$(CONFIGDIR) $(SYSCONFDIR)/dbus-1 $(UNITDIR)/sockets.target.wants \
		$(UNITDIR)/$(dir $(LOGIND)) $(UNITDIR) \
		$(USERUNITDIR) $(PREFIX)/lib/systemd $(SYSUSERSDIR) $(TMPFILESDIR) $(addprefix $(MANDIR)/man,1 5 7) $(PREFIX)/share/doc)
