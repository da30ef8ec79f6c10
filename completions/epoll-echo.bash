# bash completion for epoll-echo                             -*- shell-script -*-
# SPDX-License-Identifier: MIT

_epoll_echo()
{
    # shellcheck disable=SC2034 # _init_completion sets them all
    local cur prev words cword split
    _init_completion -s || return

    case $prev in
    --trigger)
        mapfile -t COMPREPLY < <(compgen -W 'level edge' -- "$cur")
        return
        ;;
    --shutdown-token-file)
        _filedir
        return
        ;;
    --bind)
        _ip_addresses -a
        return
        ;;
    --port | -p | --tcp-port | --udp-port | --max-tcp | --backlog | --max-line | --max-datagram | \
        --idle-timeout | --line-timeout | --drain-timeout | --socket-buffer)
        return
        ;;
    esac
    $split && return
    mapfile -t COMPREPLY < <(compgen -W '--port= --tcp-port= --udp-port= --bind= --max-tcp= --backlog=
        --max-line= --max-datagram= --idle-timeout= --line-timeout= --drain-timeout= --trigger=
        --socket-buffer= --shutdown-token-file= --verbose --quiet --help --version' -- "$cur")
    [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace
} && complete -F _epoll_echo epoll-echo
