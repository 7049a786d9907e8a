# shellcheck shell=sh
# Watches over a folder: `sh guardian.sh FOLDER SIGNAL`. When its standard input closes, because the owner closed it or is
# gone, whoever works in the folder is told SIGNAL, then killed after 5 s, and the folder is removed. Until a line has come, nobody works there.
folder=$1 signal=$2
trap '' HUP INT TERM

here() { find /proc/[0-9]*/cwd -maxdepth 0 \( -lname "$folder" -o -lname "$folder/*" \) -printf '%h\n' 2>/dev/null; }
tell() { for process in $processes; do kill -s "$1" "${process#/proc/}" 2>/dev/null; done; }
# Without a search, which costs milliseconds where many processes are. Of a process that has ended and was not reaped, `cwd` leads nowhere.
are_left() { for process in $processes; do [ -e "$process/cwd" ] && return 0; done; return 1; }

mkdir -m 700 "$folder" || exit 1
echo ready
exec >/dev/null
# To look for them takes milliseconds on a busy machine, and most folders hold files alone.
read -r _ || exec rm -rf "$folder"
while read -r _; do :; done

processes=$(here)
tell "$signal"
tell CONT # a stopped process hears nothing
rounds=0
while are_left && [ $rounds -lt 200 ]; do
    sleep 0.025
    rounds=$((rounds + 1))
done
# Those that are left, or were started meanwhile.
while processes=$(here) && [ -n "$processes" ]; do tell KILL; done
rm -rf "$folder"
