# bash completion for epoll-echo and echo-bench                -*- shell-script -*-
# SPDX-License-Identifier: MIT
#
# Offers what --help tells. Needs nothing but bash, bash-completion only to be found.

_epoll_echo()
{
    local help line kind='' options=() i=$COMP_CWORD
    local value=${COMP_WORDS[i]} option=${COMP_WORDS[i - 1]}

    # "=" divides words: --option=value is three of them.
    if [[ $value == = ]]; then
        value=''
    elif [[ $option == = ]]; then
        option=${COMP_WORDS[i - 2]}
    fi
    help=$("${1/#\~/$HOME}" --help 2>/dev/null)
    while read -r line; do
        [[ $line =~ ^(-., )?(--[a-z-]+)(=([^ ]+))? ]] || continue
        options+=("${BASH_REMATCH[2]}${BASH_REMATCH[3]:+=}")
        [[ $option == "${BASH_REMATCH[2]}" || $option, == "${BASH_REMATCH[1]% }" ]] && kind=${BASH_REMATCH[4]}
    done <<<"$help"

    case $kind in
    *:*) ;;
    *'|'*) mapfile -t COMPREPLY < <(compgen -W "${kind//|/ }" -- "$value") ;;
    PATH | FILE) compopt -o default ;;
    PID) mapfile -t COMPREPLY < <(cd /proc && compgen -G "$value*" | grep -x '[0-9]*') ;;
    ?*) ;;
    *)
        if [[ $value == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "${options[*]}" -- "$value")
            [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace
        elif [[ $help == *' HOST:PORT'* ]]; then
            mapfile -t COMPREPLY < <(compgen -A hostname -- "$value")
        fi
        ;;
    esac
} && complete -F _epoll_echo epoll-echo echo-bench
