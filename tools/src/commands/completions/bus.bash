# Completion of bus for bash: what `bus completions bash` prints.
_bus_complete() {
    local rest=${COMP_LINE:0:COMP_POINT} index piece trimmed
    local -a words=()
    # The words as they were typed: bash takes colons and equals signs for the ends of words.
    for ((index = 0; index <= COMP_CWORD; index++)); do
        piece=${COMP_WORDS[index]}
        trimmed=${rest#"${rest%%[![:blank:]]*}"}
        if ((index == 0)) || [[ $trimmed != "$rest" ]]; then
            words+=("")
        fi
        if [[ $trimmed == "$piece"* ]]; then
            rest=${trimmed#"$piece"}
        else
            piece=$trimmed
            rest=
        fi
        words[${#words[@]} - 1]+=$piece
    done
    words=("${words[@]//[\'\"\\]/}")
    local current=${words[${#words[@]} - 1]} done_part=
    # What stands before the last such sign stays as it is, and is not to be inserted again.
    if [[ $current == *[:=]* && $COMP_WORDBREAKS == *:* && $COMP_WORDBREAKS == *=* ]]; then
        done_part=${current%"${current##*[:=]}"}
    fi
    local kind value help has_files=
    local -a whole=() parts=()
    while IFS=$'\t' read -r kind value help; do
        case $kind in
            word) whole+=("${value#"$done_part"}") ;;
            part) parts+=("${value#"$done_part"}") ;;
            files) has_files=yes ;;
            command)
                if declare -F _command_offset >/dev/null; then
                    _command_offset $((value + 1))
                    return
                fi
                mapfile -t whole < <(compgen -c -- "$current")
                ;;
        esac
    done < <("${1/#\~/$HOME}" complete-words -- "${words[@]:1}" 2>/dev/null)
    if [[ $has_files ]]; then
        local -a files
        mapfile -t files < <(compgen -f -- "${current#"$done_part"}")
        compopt -o filenames 2>/dev/null
        COMPREPLY=("${files[@]}" "${whole[@]}" "${parts[@]}")
        return
    fi
    compopt -o nospace 2>/dev/null
    COMPREPLY=("${whole[@]/%/ }" "${parts[@]}")
}
complete -F _bus_complete bus
