# The desktop's way: truncate, udisksctl, udisksctl, rm; as shell.sh otherwise. DBUS_SYSTEM_BUS_ADDRESS names the bus.
#
# Usage: bash udisks.sh DIRECTORY BYTES
image=$1/udisks-$$.img
while read -r pairs; do
  for ((i = 0; i < pairs; i++)); do
    began=${EPOCHREALTIME/./}
    truncate -s "$2" "$image" && answer=$(udisksctl loop-setup --no-user-interaction -f "$image") || exit 1
    attached=${EPOCHREALTIME/./}
    device=${answer##* }
    udisksctl loop-delete --no-user-interaction -b "${device%.}" > /dev/null && rm "$image" || exit 1
    cleared=${EPOCHREALTIME/./}
    echo "$((attached - began))000 $((cleared - attached))000"
  done
done
