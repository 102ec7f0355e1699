# The shell's way: truncate, losetup, losetup, rm. Reads how many pairs to run, a number on each line, and prints the
# nanoseconds of each attach and detach.
#
# Usage: bash shell.sh DIRECTORY BYTES
image=$1/shell-$$.img
while read -r pairs; do
  for ((i = 0; i < pairs; i++)); do
    began=${EPOCHREALTIME/./}
    truncate -s "$2" "$image" && device=$(losetup -f --show "$image") || exit 1
    attached=${EPOCHREALTIME/./}
    losetup -d "$device" && rm "$image" || exit 1
    cleared=${EPOCHREALTIME/./}
    echo "$((attached - began))000 $((cleared - attached))000"
  done
done
