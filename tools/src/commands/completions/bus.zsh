#compdef bus
# Completion of bus for zsh: what `bus completions zsh` prints.
_bus() {
    local line kind value help has_files= command_at=
    local -a lines whole whole_shown parts parts_shown
    lines=("${(@f)$(${(Q)~words[1]} complete-words -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    for line in $lines; do
        kind=${line%%$'\t'*}
        line=${line#*$'\t'}
        value=${line%%$'\t'*}
        help=${line#*$'\t'}
        [[ -n $help ]] && help="$value  -- $help" || help=$value
        case $kind in
            word) whole+=("$value"); whole_shown+=("$help") ;;
            part) parts+=("$value"); parts_shown+=("$help") ;;
            files) has_files=yes ;;
            command) command_at=$value ;;
        esac
    done
    if [[ -n $command_at ]]; then
        words=("${(@)words[command_at+2,-1]}")
        (( CURRENT -= command_at + 1 ))
        _normal
        return
    fi
    local is_found=1
    if (( $#whole )); then
        compadd -l -d whole_shown -a whole && is_found=0
    fi
    if (( $#parts )); then
        compadd -l -S '' -d parts_shown -a parts && is_found=0
    fi
    if [[ -n $has_files ]]; then
        _files && is_found=0
    fi
    return $is_found
}
if [[ $funcstack[1] == _bus ]]; then
    _bus "$@"
else
    compdef _bus bus
fi
