#!/bin/sh
# sh curl.sh poll URL TOPIC     the newest event of a topic with keep = "latest", whenever there is another one
# sh curl.sh stream URL TOPIC   a topic's events over SSE, each once and in order, from now on
# TOKEN in the environment, where not everybody may read. It needs curl 7.84 (2022).
set -eu
case $#${1:-} in 3poll | 3stream) ;; *) sed -n 2,4p "$0" >&2 && exit 2 ;; esac
what=$1 url=$2/topics/$3 kept=$(mktemp -d) most=1
trap 'rm -rf "$kept"' EXIT
trap 'exit 1' INT TERM
[ -z "${TOKEN:-}" ] || printf 'Authorization: Bearer %s\n' "$TOKEN" >"$kept/token" # not among the arguments, which ps shows
touch "$kept/token" "$kept/etag" "$kept/id"

pause() { # at least $1 s, and up to $2 s more: jitter
  sleep "$(awk -v least="$1" -v more="$2" -v seed="$(od -An -N4 -tu4 /dev/urandom)" 'BEGIN { srand(seed); print least + rand() * more }')"
}

go_on() { # whether waiting helps
  case $1 in 408 | 425 | 429) ;; 4*) echo "refused: $1" >&2 && exit 1 ;; esac
}

poll() {
  # shellcheck disable=SC2046 # the words are status, and Poll-After or Retry-After
  set -- $(curl -s --max-time 10 -H "@$kept/token" --etag-compare "$kept/etag" --etag-save "$kept/new" -o "$kept/event" \
    -w '%{http_code} %header{poll-after} %header{retry-after}' "$url")
  go_on "$1"
  [ "$1" != 200 ] || { mv "$kept/new" "$kept/etag" && cat "$kept/event" && echo; }
  pause "${2:-5}" "$(awk -v seconds="${2:-5}" 'BEGIN { print seconds * 0.2 }')"
}

stream() {
  began=$(date +%s) event='' id='' data=''
  : >"$kept/head"
  curl -sfN --max-time 300 -D "$kept/head" -H "@$kept/token" -H "Last-Event-ID: $(cat "$kept/id")" "$url/stream" |
    while IFS= read -r line; do
      case $line in
        id:*) id=${line#id: } ;;
        event:*) event=${line#event: } ;;
        data:*) data=${line#data: } ;;
        '') [ -z "$data" ] || echo "$event $data"
          [ -z "$id" ] || echo "$id" >"$kept/id"
          event='' data='' ;;
      esac
    done
  go_on "$(awk 'NR == 1 { print $2 }' "$kept/head")"
  [ $(($(date +%s) - began)) -lt 5 ] || most=1 # it lived
  pause "$(awk 'tolower($1) == "retry-after:" { print $2 + 0; found = 1 } END { if (!found) print 0 }' "$kept/head")" "$most"
  most=$((most < 32 ? most * 2 : 60))
}

while :; do "$what"; done
