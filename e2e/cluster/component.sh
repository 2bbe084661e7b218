# shellcheck shell=bash disable=SC2153
# What is done with one component of the cluster: start, look, end. To be sourced; needs STATE and LOGS.

# Starts a component in the background and remembers how. Usage: start NAME COMMAND...
start() {
    local name="$1"
    shift
    printf '%q ' "$@" >"$STATE/component/$name"
    begin "$name"
}

# Starts a component again as it was started before. Usage: begin NAME
begin() {
    # shellcheck disable=SC2094
    setsid bash -c "cd $STATE && exec $(cat "$STATE/component/$1")" >>"$LOGS/$1.log" 2>&1 </dev/null &
    echo $! >"$STATE/component/$1.pid"
}

# Whether a component's process is there. A process that was killed is a zombie while its last threads
# are still giving back its memory, and after that its ports.
running() {
    local process state tasks
    process="/proc/$(cat "$STATE/component/$1.pid")"
    state="$(sed 's/.*) //; s/ .*//' "$process/stat" 2>/dev/null)" || return 1
    [ "$state" = Z ] || return 0
    tasks=("$process"/task/*)
    [ "${#tasks[@]}" -gt 1 ]
}

# Ends a component as a crash would. Usage: crash NAME
crash() {
    kill -9 "$(cat "$STATE/component/$1.pid")" 2>/dev/null || true
    while running "$1"; do sleep 0.02; done
}

# The names of all components that were started.
components() {
    find "$STATE/component" -name '*.pid' -printf '%f\n' 2>/dev/null | sed 's/\.pid$//' | sort
}

# Whether the apiserver says that it is ready.
api_ready() {
    curl -sf --max-time 5 --cacert "$STATE/apicerts/apiserver.crt" -H "Authorization: Bearer $(cat "$STATE/admin.token")" \
        "https://$(cat "$STATE/address")/readyz" >/dev/null
}
