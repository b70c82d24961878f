#!/bin/sh
# Copies the newest versions of a model from an object store into a folder that a server watches,
# and removes those that the store has no more. A version gets its number when it is whole.
set -eu
: "${MODEL_SOURCE:?expected remote:bucket/model}" "${MODEL_FOLDER:?expected the folder of the model}"

list() { # the store's versions that are whole: saved_model.pb is uploaded last
  rclone lsf --recursive --max-depth 2 --include '/[0-9]*/saved_model.pb' "$MODEL_SOURCE"
}

sync_once() {
  mkdir -p "$MODEL_FOLDER"
  rm -rf "$MODEL_FOLDER"/.incoming
  listed=$(list)
  versions=$(echo "$listed" | sed -n 's|^\([0-9][0-9]*\)/saved_model.pb$|\1|p' | sort -n |
    tail -n "${KEEP_VERSIONS:-2}")
  if [ -z "$versions" ]; then
    echo "$MODEL_SOURCE has no version: nothing is changed" >&2
    return 1
  fi
  for version in $versions; do
    [ -e "$MODEL_FOLDER/$version" ] && continue
    rclone copy "$MODEL_SOURCE/$version" "$MODEL_FOLDER/.incoming"
    mv "$MODEL_FOLDER/.incoming" "$MODEL_FOLDER/$version"
    echo "$MODEL_FOLDER/$version: new"
  done
  for path in "$MODEL_FOLDER"/[0-9]*; do
    if ! echo "$versions" | grep -qx "${path##*/}"; then
      mv "$path" "$MODEL_FOLDER/.outgoing"
      rm -rf "$MODEL_FOLDER/.outgoing"
      echo "$path: removed"
    fi
  done
  touch "$MODEL_FOLDER/.synced"
}

if [ "${1:-}" = once ]; then
  sync_once
  exit
fi
while :; do
  sh "$0" once || echo "sync failed; tried again in ${SYNC_SECONDS:-30} s" >&2
  sleep "${SYNC_SECONDS:-30}"
done
