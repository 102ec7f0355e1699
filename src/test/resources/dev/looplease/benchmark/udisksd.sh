# A message bus, udevd and udisksd, until the standard input closes; in mount and network namespaces of their own, with a
# /run and a /dev of their own and without udev's rules: the host's are left alone, and nobody else's device is probed.
#
# Usage: unshare --mount --net bash udisksd.sh DIRECTORY BUS-CONFIGURATION
set -eu
mount --make-rprivate /
mkdir "$1/dev"
mount -t tmpfs none "$1/dev"
cp -a /dev/null /dev/loop-control /dev/loop[0-9]* "$1/dev"
mount --bind "$1/dev" /dev
mount -t tmpfs none /run
mount -t tmpfs none /usr/lib/udev/rules.d
/lib/systemd/systemd-udevd < /dev/null &
udevd=$!
dbus-daemon --nofork --nopidfile --config-file="$2" < /dev/null &
bus=$!
until [ -S "$1/bus" ]; do sleep 0.05; done
/usr/libexec/udisks2/udisksd < /dev/null &
udisksd=$!
cat > /dev/null
kill $udisksd $udevd $bus
wait
